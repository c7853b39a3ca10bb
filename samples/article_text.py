"""The words of the two-column article."""

from __future__ import annotations

from typing import Final

TITLE_TEXT: Final = "What the Gauge Reader Wrote: Flood Curves from Handwritten Station Books"
AUTHORS: Final = "Ines Carrow<super>1</super> and Tobias Welk"
AFFILIATION: Final = "Archive for Inland Waters, Kesslau"
ABSTRACT: Final = (
    "Long before sensors, people walked to a painted staff in the river and wrote down what they saw. We read 412 "
    "station books of the River Lind, kept between 1881 and 1939, and turn their entries into water levels that a "
    "modern flood model can use. Three things decide whether the result can be trusted: that no page is lost without"
    " a word, that a doubtful digit stays doubtful, and that every number can be followed back to the line of ink it"
    " came from. With these rules the peak of a flood is recovered to within seven centimetres at four stations."
)
FOOTNOTE: Final = (
    "<super>1</super> Corresponding author. The station books are kept in the reading room at Kesslau and may be "
    "seen on weekdays; bring gloves and a soft pencil."
)
FIGURE_CAPTION: Final = (
    "<b>Figure 1.</b> The flood of March 1907 at two stations, as rebuilt from the books. The crest needs about a "
    "day to travel from Kesslau to Harbour Gate, and it arrives lower and broader."
)
TABLE_CAPTION: Final = (
    "<b>Table 1.</b> Books read at each station, entries that two readers agreed on, and the error of the recovered "
    "flood peak against marks cut into bridges and walls."
)
TABLE_ROWS: Final = [
    ["Station", "Books", "Agreed (%)", "Error (cm)"],
    ["Kesslau", "138", "98.2", "4.1"],
    ["Old Mill Lock", "97", "96.7", "5.8"],
    ["Brandt Ferry", "64", "91.4", "6.9"],
    ["Harbour Gate", "113", "97.5", "3.6"],
    ["All stations", "412", "96.6", "4.9"],
]

_INTRODUCTION: Final = [
    (
        "A gauge reader had a simple duty. At seven in the morning and at six in the evening he, or very often she, "
        "went down to the staff, read the level to the nearest centimetre and entered it in a ruled book. When the "
        "river rose quickly the readings were to be taken every hour, through the night and in any weather [2]."
    ),
    (
        "The books were never meant for us. They were meant for the lock keeper downstream, who wanted to know "
        "whether to open his gates before breakfast. That is their charm and their difficulty: an entry that was "
        "clear to a neighbour on the same river may be a riddle a century later. Ice, quarrels, a new staff screwed "
        "on upside down, and once a wedding all left their traces in the columns."
    ),
    (
        "Flood statistics, on the other hand, live on the rare and the old. A record of thirty years says little "
        "about the flood that comes once in two hundred. If the old books can be read, the record at Kesslau grows "
        "from 41 years to 99, and the height of the dike no longer rests on a handful of wet springs."
    ),
]
_BOOKS: Final = [
    (
        "Each book covers half a year on 96 pages. A page has a printed head with the name of the station, a table "
        "of fourteen days, and a margin for remarks. About one page in nine has been repaired, and one in thirty has"
        " been wet. We photographed all of them under the same lamp and kept the pictures exactly as they came from "
        "the camera."
    ),
    "TABLE",
    (
        "Following [3], two readers transcribed every page without seeing the work of the other. Where they agreed, "
        "the entry was accepted. Where they did not, the picture of the cell was set beside both readings and a "
        "third person decided, or wrote that no decision was possible. Table 1 shows that the ferry station is the "
        "hard one: its books lay in a boat house, and the ink has run."
    ),
]
_METHOD: Final = [
    (
        "The work is a chain of three steps, and each leaves its result where the next can find it. The first step "
        "cuts a page into its parts: head, table, remarks. The second reads each part. The third puts the parts in "
        "order, joins a table that continues overleaf, and checks the sums that the reader was obliged to write at "
        "the foot of a column."
    ),
    (
        "We learned to be strict about failure. In an early attempt a cell that could not be read was left empty, "
        "and an empty cell was later taken for a level of zero. The river appeared to run dry on the night of its "
        "greatest flood. Since then a cell holds either a number, or a reason why there is none; a page that fails "
        "is tried once more and then listed by name, and the list is printed with the results."
    ),
    "FIGURE",
    (
        "We also learned to keep the steps apart. The pictures are the same for ever, so whatever was read from them"
        " need not be read again when only the assembly changes. Half of our improvements concerned the last step, "
        "and each of them could be tried on all books in an afternoon."
    ),
    (
        "Levels at neighbouring stations help one another [4]. A crest that passes Kesslau must reach Harbour Gate "
        "later, lower and broader, as in Figure 1. If the books tell another story, one of them is wrong, and it is "
        "usually the one that was written at four in the morning."
    ),
]
_RESULTS: Final = [
    (
        "Of 39,552 pages, 38,207 were read without help, 1,198 with a remark that part of the page is missing, and "
        "147 could not be read at all. These three numbers add up to the number of pages on the shelf, which is the "
        "first thing that we check and the last thing that we would give up."
    ),
    (
        "At four stations the height of the great flood of 1907 is cut into stone. The recovered crest differs from "
        "these marks by 3.6 to 6.9 centimetres, which is about the height of the waves on the evening in question. A"
        " digit that is misread costs far more: the ten entries with the largest error were all a one taken for a "
        "seven."
    ),
    (
        "The longer record changes the answer that engineers care about. With modern readings alone, the flood "
        "expected once in a hundred years at Kesslau stands at 5.6 metres, give or take 0.9. With the books it "
        "stands at 5.3 metres, give or take 0.4. The dike is high enough; until now nobody could say so."
    ),
]
_DISCUSSION: Final = [
    (
        "Nothing in this chain is particular to rivers. Parish registers, weather diaries and the ledgers of bakers "
        "have the same ruled pages, the same tired hands, and the same habit of saying the important thing in the "
        "margin. Of the remarks that we kept, the one that helped most was entered at Brandt Ferry on 9 March 1907: "
        "<i>staff gone, reading from the third step of the church.</i>"
    ),
    (
        "With the height of that step, surveyed last autumn, eleven missing hours of the flood came back. We do not "
        "know who wrote the line. The hand is small and upright, and it never made a one that looked like a seven."
    ),
]
_REFERENCES: Final = [
    "[1] Carrow, I.: Ink, ice and levels. <i>Notes on Rivers and Records</i> 2 (2022), 3\u201311.",
    "[2] Office for Inland Waters: <i>Rules for the Keepers of Gauges.</i> Kesslau, 1879.",
    (
        "[3] Welk, T., and Marr, O.: Two readers are better than one good one. <i>Notes on Rivers and Records</i> 3 "
        "(2023), 29\u201340."
    ),
    "[4] Sonne, H.: How a crest grows old on its way to the sea. <i>Lind Valley Papers</i> 11 (2019), 101\u2013118.",
]
SECTIONS: Final = [
    ("1 Introduction", _INTRODUCTION),
    ("2 The books", _BOOKS),
    ("3 From page to level", _METHOD),
    ("4 Results", _RESULTS),
    ("5 Discussion", _DISCUSSION),
    ("References", _REFERENCES),
]
