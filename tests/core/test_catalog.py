import pytest

from nestvec.core import Catalog
from nestvec.core.errors import InputError, UnknownNameError

SIZES = Catalog("nestvec.core", (("size@1", "size:Size"), ("space@1", "space:Space"), ("size@2", "size:Size")))


def test_a_part_is_found_by_its_name():
    from nestvec.core.size import Size

    assert SIZES["size@1"] is Size
    assert "size@1" in SIZES
    assert "size" not in SIZES
    assert list(SIZES) == ["size@1", "space@1", "size@2"]
    assert len(SIZES) == 3


def test_a_module_is_imported_only_when_asked_for():
    catalog = Catalog("nestvec.core", (("ghost@1", "no_such_module:Ghost"),))
    assert "ghost@1" in catalog
    with pytest.raises(ModuleNotFoundError):
        catalog["ghost@1"]


def test_an_unknown_name_offers_the_nearest():
    with pytest.raises(UnknownNameError, match=r"unknown name 'spcae@1' in nestvec\.core; did you mean 'space@1'\?"):
        SIZES["spcae@1"]


def test_without_a_near_name_all_are_listed():
    with pytest.raises(UnknownNameError, match=r"there are size@1, size@2, space@1\."):
        SIZES["zzzzzzzz"]
    with pytest.raises(UnknownNameError, match="there are none"):
        Catalog("nestvec.core", ())["anything@1"]


@pytest.mark.parametrize("name", ["int8", "int8@", "int8@one", "@"])
def test_a_name_must_have_a_version(name):
    with pytest.raises(InputError, match="version"):
        Catalog("nestvec.core", ((name, "size:Size"),))


def test_a_name_may_come_once():
    with pytest.raises(InputError, match="twice"):
        Catalog("nestvec.core", (("size@1", "size:Size"), ("size@1", "space:Space")))


@pytest.mark.parametrize(
    "target", ["size", "size:", ":Size", "..os:system", "/etc/passwd:x", "os path:x", ".size:Size"]
)
def test_a_target_cannot_leave_the_family(target):
    with pytest.raises(InputError, match=r"inside nestvec\.core"):
        Catalog("nestvec.core", (("size@1", target),))


@pytest.mark.parametrize("name", ["os:system", "nestvec.core.size:Size", "../size@1", "size:Size"])
def test_a_name_is_only_ever_a_key(name):
    with pytest.raises(UnknownNameError):
        SIZES[name]
