"""What a page's columns mean, in its footer."""

from bench.statistics.pairs import ALL_PAIRS
from bench.statistics.stats import MIN_IMAGES

DEFINITIONS = (
    "Dice = 2 TP / (2 TP + FP + FN) of an image, the same number as F1 of the lung class. The headline"
    " is its mean over images, each predicted once a seed, by a model that never saw its patient. With several"
    " seeds an image first gets the mean over its seeds. A row is made of its complete seeds, those that predicted"
    " every image; a seed that lacks folds is named and left out.",
    "[low, high] of a mean: 95 % BCa interval (Efron 1987) of a bootstrap with 10,000 resamples over patients and,"
    " within each, over seeds; a patient brings all of its images. Of a difference and of P(first > second):"
    " percentile interval of the same resamples. All have the levels of Student's t for the number of patients"
    " (Hesterberg 2015), as resamples of few spread too little. A row without a complete seed has an interval over"
    " patients only. By simulation (tests/test_coverage.py) 95 % intervals of a mean cover 94 to 95 % at 138 skewed"
    " scores and 93 % at 18 to 60.",
    "Pooled: the same ratio of the counts summed over all images and seeds, which is what Keras"
    " metrics, a confusion matrix and a classification report give. An image with more lung weighs more.",
    "IoU = Dice / (2 - Dice) and F1 = Dice are checked for every image and every pooled row before printing.",
    "HD95: the larger of the two directed 95th percentiles of distances between borders. ASSD: the mean"
    " of both directions' distances. NSD: the share of both borders within 2 units of the other. In mm"
    " where the spacing is known, else in px. Infinite distances (one mask empty) are counted, never"
    " averaged. The leaderboard shows the median of HD95 over predictions.",
    "Two lungs: share of predictions with exactly two connected components and no hole.",
    "P(first > second): share of images on which any seed of the first beats any seed of the second,"
    " ties half; its interval is over patients. p: Wilcoxon signed-rank over patients; Holm over all"
    " pairs of the table. The test takes the seeds as given, so two rows are told apart only where the"
    " interval, which covers seeds, excludes 0 too.",
    "Rank: 1 + the number of rows with a higher mean that the row is told apart from, so rows that are not told"
    " apart may share a rank. Tie: two rows that share a letter are not told apart (compact letter display)."
    f" Above {ALL_PAIRS} rows only neighbours are compared, and the rank is the place by mean.",
    "Rank, 95 %: interval of the place by mean over the resamples; P(best): share of them in which the row has the"
    " highest mean. Mean-then-rank: the place by mean; rank-then-mean: by the mean of the ranks on each image;"
    " test-then-rank: the rank.",
    "A row has a rank where one of its seeds predicted every image that any row predicted; nothing is ranked on fewer"
    f" than {MIN_IMAGES} images.",
    "Weights: trainable parameters. SD images, SD seeds: standard deviations of Dice over images and of"
    " the mean over seeds. GMACs: multiply-accumulates of one image's forward pass. Training: wall-clock"
    " time of a cell, median over cells; cells of a suite may have shared the machine, so compare speed"
    " in the throughput tables.",
)
