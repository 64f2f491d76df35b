from nestvec.core.coding import Bounded, Codec, Reducer


def test_a_part_is_known_by_its_methods():
    for protocol in (Codec, Bounded, Reducer):
        assert not isinstance(object(), protocol)
