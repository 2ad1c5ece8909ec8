"""The faults that must do no harm: what goes wrong, and what is expected then.

A test that shows one says so: ``@pytest.mark.fault("F72")``. ``make faults`` runs them all and writes the table
tests/FAULTS.md. Where no behaviour is given: an error that names the file or value and what to do, nothing
half-written, no other cell harmed. Exit codes: 1 regression, 2 usage, 3 data, 4 some cells failed, 5 not comparable,
6 environment, 70 internal error, 130 interrupted.
"""

from __future__ import annotations

TYPED = "an error that names it and the remedy; exit 3"

IMAGES = {
    "F01": ("PNG cut short", "named, exit 3, nothing trained"),
    "F02": ("file of no bytes", TYPED),
    "F03": ("text with the name of a PNG", TYPED),
    "F04": ("wrong checksum of a PNG chunk", TYPED),
    "F05": ("PNG without its end", TYPED),
    "F06": ("PNG of a header alone", TYPED),
    "F07": ("decompression bomb, 30,000 pixels a side or more", "refused by its header, in little memory"),
    "F08": ("2^31 pixels a side", TYPED),
    "F09": ("no pixels a side", TYPED),
    "F10": ("JPEG with the name of a PNG", "refused by its first bytes"),
    "F11": ("16-bit image", "its full range is kept"),
    "F12": ("1-bit mask", "read as false and true"),
    "F13": ("mask with a palette", "refused, or mapped by a written rule"),
    "F14": ("colour or alpha channels", "grey where the channels agree, a warning where not, alpha ignored"),
    "F15": ("bytes after the end", "accepted; the hash covers them"),
    "F16": ("folder, dangling link, loop or pipe among the images", "left out by rule or an error; never hangs"),
    "F17": ("file that may not be read", "named, exit 3"),
    "F18": ("names with accents, blanks, newlines, or very long ones", "read, and shown harmlessly"),
    "F19": ("upper-case ending, the same stem twice", "read; doubled stems are an error"),
    "F20": ("NaN or infinity in an image of floats", TYPED),
    "F21": ("image of one value", "normalised to zeros, not NaN"),
    "F22": ("1 x 1 pixels, 3 x 5,000 pixels", "read and resized, or an error"),
    "F23": ("inverted image", "flagged, not altered"),
    "F24": ("mask missing", "exit 3, all of them listed"),
    "F25": ("mask without an image", TYPED),
    "F26": ("mask of another size than its image", "an error, never resized in silence"),
    "F27": ("mask with rows and columns exchanged", TYPED),
    "F28": ("mask with values between", "one written threshold; many such pixels are an error"),
    "F29": ("empty mask", "scored by the written rule"),
    "F30": ("mask of everything", "scored by the written rule"),
    "F31": ("lungs exchanged or overlapping", "united by OR: 255 + 255 is not 254"),
    "F32": ("masks more than 2 % larger than the original's", "found"),
    "F33": ("mask resized with interpolation", "its grey rim is found"),
    "F34": ("image and mask one row apart", "found, or without effect on their pairing"),
}
DATASET = {
    "F35": ("empty folder", "exit 3 within a second, no backend loaded"),
    "F36": ("one case, or fewer than folds", TYPED),
    "F37": ("an id twice", TYPED),
    "F38": ("the same bytes under two ids", "one fold"),
    "F39": ("one patient under two ids", "one fold"),
    "F40": ("images nearly alike", "listed in a warning"),
    "F41": ("image both trained on and tested", "the scorer refuses"),
    "F42": ("files in another order", "the same folds"),
    "F43": ("file changed between reading and training", "stopped"),
    "F44": ("set moved to another folder", "the same fingerprint"),
    "F45": ("statistics of normalisation taken from test images", "test pixels reach no training tensor"),
    "F46": ("validation images augmented", "they are not"),
    "F47": ("image and mask augmented differently", "one warp for both"),
    "F48": ("augmented mask with values between", "binary"),
    "F49": ("case left out, or scored twice", "each once, of the same weight"),
    "F50": ("fold of patients of one kind", "folds hold both kinds in proportion"),
}
TRAINING = {
    "F51": ("loss NaN", "cell `diverged` and shown, the others go on, exit 4"),
    "F52": ("gradient infinite in float16", "the step is left out, or the cell is `diverged`"),
    "F53": ("first epoch NaN, then finite", "the best weights are finite ones"),
    "F54": ("memory runs out in one architecture", "cell `oom`; the rest bit for bit as without it"),
    "F55": ("architecture that cannot be built at a size", "this cell fails, exit 4"),
    "F56": ("output of another shape, outside 0 to 1, or NaN", "contract error before training"),
    "F57": ("constant prediction", "scored, flagged"),
    "F58": ("last batch of one image", "trained as the others"),
    "F59": ("batch larger than the data", "trained"),
    "F60": ("Ctrl-C", "writes are finished, exit 130, resumable"),
    "F61": ("SIGTERM", "as Ctrl-C"),
    "F62": ("killed at any moment", "resumed to the same result"),
    "F63": ("training hangs", "cell `timeout` after its limit"),
    "F64": ("precision lost on the way", "checked, an error"),
    "F65": ("GPU missing", "said; never mixed with a GPU's numbers"),
    "F66": ("operation without a deterministic kernel", "an error that names it"),
    "F67": ("seed that is none", "usage error, exit 2"),
    "F68": ("nothing is learned", "flagged: the loss did not fall"),
    "F69": ("others use the machine while speed is measured", "flagged as busy"),
}
PERSISTENCE = {
    "F70": ("results folder read-only", "exit 6 before training"),
    "F71": ("disk full at any write", "what was there stays, exit 6, resumable"),
    "F72": ("record cut short", "named, trained again, hides no other; report exits 3"),
    "F73": ("record of another schema", "as F72"),
    "F74": ("NaN, infinity or a key twice in a record", "as F72; never written"),
    "F75": ("record edited by hand", "shown as unverified, trained again"),
    "F76": ("an input changed", "trained again, the old record kept"),
    "F77": ("only a page or the number of processes changed", "records stay valid"),
    "F78": ("two runs in one folder", "the second exits 6 at once; a dead one's lock is taken over"),
    "F79": ("a byte of a checkpoint flipped", "found; the one before is used"),
    "F80": ("weights newer than what describes them", "cannot be: they are one file"),
    "F81": ("clock set back, another time zone or locale", "durations stay right, the decimal point a point"),
    "F82": ("no home, no folder for temporary files", "works"),
    "F83": ("results behind a link, names with blanks or backslashes", "works, stays where it is"),
}
REPORT = {
    "F84": ("no baseline", "exit 5 with the command that makes one"),
    "F85": ("baseline of other data, resolution, rules or folds", "exit 5"),
    "F86": ("new score NaN, infinite, null or missing", "exit 1"),
    "F87": ("baseline holds NaN", "exit 5"),
    "F88": ("fewer cases or folds than the baseline", "exit 5"),
    "F89": ("architecture removed, added", "exit 1, information"),
    "F90": ("scores that contradict each other", "internal error, exit 70"),
    "F91": ("equal means", "one rank, order by name"),
    "F92": ("every cell failed", "the report renders, exit 4"),
    "F93": ("names with |, tags or ../", "shown as they are, written where they belong"),
    "F94": ("300 architectures, one architecture", "all on the page; figures legible"),
    "F95": ("no display, no such font", "figures are drawn"),
    "F96": ("report made again", "the same bytes"),
}
SECURITY = {
    "F97": ("archive member that leaves its folder, or is a link", "refused, nothing written"),
    "F98": ("archive that grows beyond measure", "refused"),
    "F99": ("archive with a device", "refused"),
    "F100": ("download with another hash, cut short, or a web page", "refused; nothing remains"),
    "F101": ("checkpoint that holds code", "never loaded"),
    "F102": ("array file that holds pickled objects", "ValueError"),
    "F103": ("YAML that makes objects", "rejected"),
    "F104": ("shell characters in a value", "passed on as they are, run by nothing"),
    "F105": ("CSV cell that a spreadsheet would run", "written so that it is text"),
}
PARTS = {
    "Images and masks": IMAGES,
    "Dataset and folds": DATASET,
    "Training": TRAINING,
    "Persistence": PERSISTENCE,
    "Report and gate": REPORT,
    "Security": SECURITY,
}
FAULTS: dict[str, tuple[str, str]] = {key: value for part in PARTS.values() for key, value in part.items()}

# Faults that cannot happen here, and why no test can show them.
NOT_APPLICABLE = {"F103": "no YAML is read: records are strict JSON, suites and recipes are Python"}
