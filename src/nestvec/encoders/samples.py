"""Texts that come with nestvec, for checking an encoder where no data is at hand."""

from __future__ import annotations

SELF_CHECK = (
    "yes",
    "How tall is Mount Everest?",
    "The cat sat on the mat.",
    "Interest rates rose by a quarter of a point, as most economists had expected.",
    "def add(a: int, b: int) -> int: return a + b",
    "Die Straßenbahn fährt heute wegen Bauarbeiten nicht über den Marktplatz.",
    "3.14159, 2.71828 and 1.41421 are none of them rational.",
    (
        "A protein folds into the shape that has the lowest free energy, and most of the time it does so within "
        "milliseconds, although the number of shapes it could take is far beyond counting."
    ),
    "Please find attached the minutes of the meeting of 12 March; corrections by Friday, if you have any.",
    "SELECT name, COUNT(*) FROM orders GROUP BY name HAVING COUNT(*) > 3 ORDER BY 2 DESC;",
    (
        "The wing stalls when the angle at which it meets the air becomes too steep for the flow to follow its upper "
        "side. The lift then falls, the drag rises, and the aircraft sinks. A slipstream delays this, because it moves "
        "the boundary layer along; so does a slot near the leading edge, and so do small vortex generators."
    ),
    "東京は日本の首都です。",
)

_PARAGRAPH = (
    "A library that lends books keeps a record of each loan. When the book comes back, the record is closed, and "
    "when it does not, a letter is sent. The letter is polite the first time. The second letter names a sum, and "
    "the third one names a date. Few readers see the third letter, and those who do have usually moved away. "
)

PARITY = (
    *SELF_CHECK,
    "",
    " ",
    "a",
    "!!! ??? ...",
    "Ünïcödé, naïve café, ﬁne ligatures and a soft­hyphen",
    "Привет, мир! Γειά σου Κόσμε. שלום עולם. नमस्ते दुनिया",
    "🙂🚀 emoji between words 🧪 and 👩‍👩‍👧‍👦 joined ones",
    "tabs\tand\nnew lines\r\n\r\nand   many    spaces",
    "https://example.org/a/b?c=d&e=f#g and someone@example.org",
    "for i in range(10):\n    if i % 2 == 0:\n        print(f'{i:>4} is even')\n",
    "x" * 300,
    "0123456789 " * 12,
    _PARAGRAPH,
    _PARAGRAPH * 2,
    _PARAGRAPH * 4,
    _PARAGRAPH * 20,  # longer than the window of most models
)
