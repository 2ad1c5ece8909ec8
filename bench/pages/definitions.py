"""What a page's columns mean, in its footer."""

from bench.statistics.fixed_split import IMAGES
from bench.statistics.pairs import ALL_PAIRS
from bench.statistics.resampling import MIN_PATIENTS
from bench.statistics.stats import MIN_IMAGES
from bench.statistics.verdicts import MARGIN

DEEPDRAW = (
    f"deepdraw's {len(IMAGES)}, pooled: Dice of the counts summed over the test images of deepdraw's (bob.ip.binseg)"
    " published split of Montgomery, each predicted by the fold that held it out. It is the one column like published"
    " ones; these images are easier than the set, and deepdraw trained on 96 others."
)  # of a column that only pages of that set have
DEFINITIONS = (
    "Dice = 2 TP / (2 TP + FP + FN) of an image, the same number as F1 of the lung class. The headline"
    " is its mean over patients, the images of one patient averaged first; each image is predicted once a seed, by a"
    " network that was trained without its fold. Folds keep a patient's images together as far as these were known: a"
    " section's head tells, by its protocol. With several seeds an image first gets the mean over its seeds. A row is"
    " made of its complete seeds, those that predicted every image; a seed that lacks folds is named and left out.",
    "[low, high] of a mean: 95 % BCa interval (Efron 1987) of a bootstrap with 10,000 resamples over patients and,"
    " within each, over seeds; a patient brings all of its images. It has the levels of Student's t for the number of"
    " patients (Hesterberg 2015), as resamples of few spread too little. A row without a complete seed has an interval"
    f" over patients only, and fewer than {MIN_PATIENTS} patients have none, as an interval of four covers the truth in"
    " 86 % and not 95. By simulation (tests/test_coverage.py) 95 % intervals of a mean cover 94 to 95 % at 138 skewed"
    " scores and 93 % at 18 to 60.",
    "[low, high] of a difference: Student's t on the standard error that the paired bootstrap over patients and seeds"
    " has in the limit, with Satterthwaite's degrees of freedom. A row's seeds count as at least as variable as the"
    " rows' on average. Of P(first > second): percentile interval over patients.",
    "Pooled: the same ratio of the counts summed over all images and seeds, which is what Keras"
    " metrics, a confusion matrix and a classification report give. An image with more lung weighs more.",
    "IoU = Dice / (2 - Dice) and F1 = Dice are checked for every image and every pooled row before printing.",
    "HD95: the larger of the two directed 95th percentiles of distances between borders. ASSD: the mean of both"
    " directions' distances. NSD: the share of both borders within 2 units of the other. In mm where the spacing is"
    " known, else in px. The leaderboard shows the medians of HD95 and ASSD and the mean of NSD over predictions at the"
    " stored resolution; other tables show those at the network's, where more than half of HD95 are exactly one pixel."
    " An infinite distance (one mask empty) counts in a median as the largest; a mean is of the finite ones, and how"
    " many are not is told.",
    "Stored: the network's probabilities are enlarged to the size in which each image's mask is stored, thresholded"
    " there, and scored there; Dice is the mean over patients. -: a protocol that did not.",
    "Validation Dice of curves, of 'still rising' and of records of protocol 1 is soft: of probabilities, before any"
    " threshold. A section's head says by what its epochs were chosen.",
    "Two lungs: share of predictions with exactly two connected components and no hole.",
    "P(first > second): share of images on which any seed of the first beats any seed of the second,"
    " ties half, by patient.",
    f"Verdict: better where the difference is told from 0, equivalent where a difference of {MARGIN} Dice or more is"
    " ruled out by two one-sided tests (Schuirmann 1987), else not known; both at 5 % for all pairs of the table"
    " together (Holm). Where both hold the difference is real and too small to matter: equivalent. Interval and tests"
    " share one standard error. (weights): a row has fewer than 3 seeds, so that the verdict is about these trained"
    " weights and not about methods. By simulation with the records' own variances (tests/VERDICTS.md) tables of 2 to"
    " 16 equal methods with 3 or 5 seeds call a pair better in under 5 %. Wilcoxon: signed-rank test over patients, as"
    " information; it takes the seeds as given and tells equal methods apart far too often.",
    "Rank: from 1 + the number of rows that are better to the number of rows that are not worse, so the places that the"
    " verdicts leave open. Rows stand by their mean. Tie: of two rows that share a letter neither is better (compact"
    f" letter display). Above {ALL_PAIRS} rows only neighbours are compared, and the rank is the place by mean.",
    "P(best): share of the resamples in which the row has the highest mean. Mean-then-rank: the place by mean;"
    " rank-then-mean: by the mean of the ranks on each image; test-then-rank: the rank by verdicts.",
    "A row has a rank where one of its seeds predicted every image that any row predicted; nothing is ranked on fewer"
    f" than {MIN_IMAGES} images or {MIN_PATIENTS} patients.",
    "Weights: trainable parameters. SD images, SD seeds: standard deviations of Dice over images and of"
    " the mean over seeds. GMACs: multiply-accumulates of one image's forward pass. Training: wall-clock"
    " time of a cell, median over cells; cells of a suite may have shared the machine, so compare speed"
    " in the throughput tables.",
)
