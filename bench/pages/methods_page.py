"""``results/METHODS.md``: definitions, protocol, statistics, limits, published numbers and a glossary, once for all
pages. Numbers come from the code and the records' own power simulation."""

from __future__ import annotations

from collections.abc import Sequence

from bench import names
from bench.markdown import paragraph, table
from bench.pages import literature
from bench.records.record import LEVEL
from bench.statistics import hard_images, measures, stats
from bench.statistics.ranking import ALL_PAIRS
from bench.statistics.resampling import MIN_PATIENTS, RESAMPLES
from bench.statistics.rows import MIN_SEEDS, Leaderboard
from bench.statistics.scores import FIXED_SPLIT
from bench.statistics.subgroups import MIN_GROUP
from bench.statistics.verdicts import ALPHA, MARGIN
from lungseg.metrics import METRICS

GENERATED = "<!-- Written by `python -m bench report`; edits are lost. -->"

MEASURES = (
    ("Dice", "2 TP / (2 TP + FP + FN) of one image, the same number as F1 of the lung class. Masks are probabilities"
     " above 0.5."),
    ("Mean Dice", "the headline: the images of one patient are averaged first, then the patients. With several seeds"
     " an image first gets the mean over its seeds."),
    ("Pooled Dice", "from counts summed over all images and seeds (micro average), which is what Keras metrics and a"
     " confusion matrix give. An image with more lung weighs more."),
    ("IoU, precision, recall, accuracy", "means over patients, from the same counts. IoU = Dice / (2 - Dice) and"
     " F1 = Dice are checked for every image and every pooled row before anything is printed."),
    ("HD95", "the larger of the two directed 95th percentiles of distances between borders (median over predictions)."
     " An infinite distance (one mask empty) counts as the largest."),
    ("ASSD", "the mean distance of both borders from the other."),
    ("NSD", "the share of both borders within 2 units of the other (mean over patients)."),
    ("Stored size", "HD95, ASSD and NSD of a leaderboard: probabilities are enlarged to the size in which the image's"
     " mask is stored, thresholded there and scored there, in mm where the spacing is known, else in px."),
    ("Two components", "share of predictions with exactly two connected components and no hole."),
    ("ECE, Brier", "expected calibration error (15 bins of equal width) and Brier score over all pixels at the"
     " network's size: 0 is perfect, and most pixels are easy."),
    ("Soft Dice", "of probabilities, before any threshold: validation curves, convergence warnings, and the choice of"
     " the epoch in protocol 1."),
    ("GMACs", "multiply-accumulates of one image's forward pass, in thousands of millions."),
    ("Training time", "median over cells: on a CPU, of one core each, the processor's time, which other cells beside it"
     " do not lengthen; on an accelerator, and where old records do not tell it, the clock's. Speeds measured alone are"
     " in [SPEED.md](SPEED.md)."),
    ("Time to 0.95, 0.97", "of the same clock, until the Dice of the validation masks first reached it: median over"
     " cells, those that never did counting as the longest. The first epoch, in which programs are compiled, counts as"
     " the median of the others; in the training time compilation is included."),
)  # fmt: skip

GLOSSARY = (
    ("Cell", "one training: a network, a fold and a seed. Its record is one JSON file under `runs/`."),
    ("Suite", "a comparison under one data set, size, width and recipe: one page."),
    ("Table", "the rows of a suite that share machine, backend, precision and protocol; a page may have several."),
    ("Row", "one network (or ensemble) of a table, over its complete seeds."),
    ("Recipe", "how a network is trained: `reference` is the source protocol's (50 epochs, no augmentation), `strong`"
     " adds augmentation, a cosine schedule and 150 epochs; a variant changes one thing of it."),
    ("Fold", "a part of the patients that a training holds out and then predicts."),
    ("Seed", "initial weights, order of images, augmentation and, since protocol 2, the split into folds."),
    ("Width", "channels of a network's first level (base filters)."),
    ("Source protocol", "the setting that the project set out to repeat: 256 px, 64 filters in the first level, 50"
     " epochs, batch 16, Adam, Dice loss."),
    ("Long", "variant `long` of recipe `strong`: batches of 4, 300 epochs, elastic deformation."),
    ("TTA", "test-time augmentation: the mean of predictions for slightly turned, scaled and brightened copies."),
    ("Fast", "operations need not give the same bits in each run; the default on an accelerator."),
    ("Protocol", "the rules by which records are made comparable; numbers of two protocols are never compared."),
    ("Verdict", "better, worse, equivalent or not known: what the paired tests say of two rows."),
    ("Phantom", "a drawn radiograph: exact ground truth, no patient, no download."),
    ("Gate", "the command that fails a change which costs accuracy."),
)  # fmt: skip


def methods_page(leaderboards: Sequence[Leaderboard]) -> str:
    """The Markdown of the page."""
    blocks = [
        GENERATED,
        "# Methods",
        "What the numbers of all pages mean, how they were made, and what they cannot say.",
        "## Definitions", _listed(MEASURES), *_further_metrics(),
        "## Protocol", _protocol(),
        "## Statistics", _statistics(), *_power(leaderboards),
        "## Limits", _limits(),
        "## Inter-observer agreement", paragraph(literature.people_agree()),
        "## Published elsewhere, by other protocols", *literature.published(),
        "## Glossary", _listed(GLOSSARY),
    ]  # fmt: skip
    return "\n\n".join(blocks) + "\n"


def _listed(items: Sequence[tuple[str, str]]) -> str:
    return "\n".join(paragraph(f"**{head}**: {text}", "- ") for head, text in items)


def _further_metrics() -> list[str]:
    """Definitions of metrics that brought their own."""
    details = [paragraph(metric.definition, "- ") for metric in METRICS.values() if metric.definition]
    return ["\n".join(details)] if details else []


def _protocol() -> str:
    return _listed(
        (
            ("Out of fold", "each image is predicted once a seed, by a training that never saw it or any image known to"
             " be of its patient. Nothing is chosen on test images."),
            ("Protocol 2", "patients are linked across images by their anatomy (`same_patient/`), folds hold a patient"
             " together, and each seed has its own split into folds, so seeds vary the split, too. The recipe"
             " says by which validation score the kept epoch is chosen."),
            ("Protocol 1", "kept for history: patients were not yet linked, so some test images had another image of"
             " their patient in training, and all seeds share one split."),
            ("Equal budget", "networks of a table have the same data, folds, seeds, epochs and recipe; where training"
             " may stop early, some take fewer epochs. `tables/<suite>/folds.csv` tells how many."),
            ("Fixed split", f"Dice pooled over the {len(FIXED_SPLIT)} test images of deepdraw's (bob.ip.binseg)"
             " published split of Montgomery, each predicted by the fold that held it out: the one number like"
             " published ones. These images are easier than the set, and deepdraw trained on 96 others."),
            ("Ensembles", "means of trained networks' probabilities; each member predicts only images that its own fold"
             " held out. A mean of several trainings is one set of weights, and costs the sum of its members."),
            ("A rank", f"needs a seed that predicted every image, {stats.MIN_IMAGES} images and {MIN_PATIENTS}"
             " patients. A row is made of its complete seeds; a seed that lacks folds is named and left out."),
        )
    )  # fmt: skip


def _statistics() -> str:
    level = f"{100 * (1 - ALPHA):.0f} %"
    margins = ", ".join(f"{measure.words} {measure.margin:g}" for measure in measures.MEASURES)
    return _listed(
        (
            ("Interval of a mean", f"{level} BCa interval (Efron 1987) of a bootstrap with {RESAMPLES:,} resamples over"
             " patients and, within each, over seeds, at the levels of Student's t (Hesterberg 2015). By simulation"
             " (tests/test_coverage.py) it covers 94 to 95 % at 138 skewed scores and 93 % at 18 to 60."),
            ("Difference of two rows", "paired over the same patients: Student's t on the standard error that the"
             " bootstrap over patients and seeds has in the limit, with Satterthwaite's degrees of freedom."),
            ("Better, worse", f"the difference is significant at {100 * ALPHA:.0f} %, corrected for all pairs of the"
             " table (Holm)."),
            ("Equivalent", f"two one-sided tests (Schuirmann 1987) rule out a difference of {MARGIN} Dice or more,"
             " corrected alike; even where the difference is significant, too."),
            ("Not known", "neither: the data cannot tell."),
            ("Other measures", "IoU, precision, recall, accuracy, and Dice and NSD at the stored size go through the"
             " same tests, Holm-corrected over pairs by each measure on its own (`tables/<suite>/measures.csv`), with"
             f" margins by the rule that Dice's has, a tenth of the SD over images: {margins}. Verdicts, ranks and"
             " figures are by Dice at the network's size."),
            ("Fewer than three seeds", f"the verdict is about these trained weights. {MIN_SEEDS} seeds or more on both"
             " sides make it one about methods."),
            ("Rank", "1 + the number of rows that are better, to the number of rows that are not worse. Above"
             f" {ALL_PAIRS} rows only neighbours are compared."),
            ("Ties", "letters in `tables/<suite>/rows.csv`: of two rows that share one neither is better (Piepho"
             " 2004)."),
            ("P(A > B)", "chance that a training of A beats a training of B on an image of a patient, ties half."
             " Wilcoxon's signed-rank p in `pairs/` is for information: it takes the seeds as given and calls equal"
             " methods different far too often."),
            ("Variance components", "standard deviations of Dice by image, fold, seed and rest (Henderson's method 3)"
             " in `tables/<suite>/rows.csv`."),
            ("Label tolerance", "Dice against the ground truth eroded or dilated by 1 to 3 px, in the same table:"
             " whether another reader's borders would change the order."),
        )
    )  # fmt: skip


def _power(leaderboards: Sequence[Leaderboard]) -> list[str]:
    """How often tables like these call equal methods different, and what they could see."""
    known = [
        s for s in leaderboards if s.power and s.conditions.protocol == max(x.conditions.protocol for x in leaderboards)
    ]
    rows = [
        [
            s.conditions.suite,
            names.device(s.conditions.device_kind),
            str(s.power.rows),
            str(s.power.seeds),
            f"{100 * s.power.pair:.0f} %",
            f"{100 * s.power.table:.0f} %",
            *(f"{s.power.detectable[n]:.4f}" if n in s.power.detectable else "-" for n in (3, 5, 10)),
        ]
        for s in known
        if s.power
    ]
    if not rows:
        return []
    headers = ["Suite", "Device", "Rows", "Seeds", "Pairs wrong", "Tables wrong", "Found: 3 seeds", "5", "10"]
    note = (
        "Simulated from the records' own variances (`tests/VERDICTS.md`, which has the rate of false equivalence, too):"
        " how often equal methods are called different, in a pair that is alone and in a table corrected by Holm, and"
        " the smallest difference found with 80 % power by the number of seeds."
    )
    return [paragraph(note), table(headers, rows, left=2)]


def _limits() -> str:
    lines = (
        f"Seeds: most tables have one. Only rows of {MIN_SEEDS} seeds or more speak of methods.",
        "Data: public radiographs of two hospitals, adults, posteroanterior; on the other hospital's images Dice falls,"
        f" and who drew the masks differs there, too. Groups of fewer than {MIN_GROUP} images are not shown, and a gap"
        " between groups is not a cause.",
        "Ground truth: one set of masks a hospital (Montgomery's of Candemir et al. 2014, Shenzhen's of Stirenko et al."
        " 2018). Protocol 2 links patients by anatomy, which finds most but perhaps not all.",
        "The highest of many rows is biased upwards by selection; a page states the result of nested selection.",
        f"Convergence: a cell is called not converged where soft validation Dice rose by more than"
        f" {LEVEL} in the last fifth of the epochs. The order is that of the budget.",
        "The command under a page makes its first table's records; where it says once made, only at the commits that"
        " `tables/<suite>/cells.csv` names, because today's protocol gives others.",
        "Machines: another backend, processor or library version adds in another order, and a training amplifies it."
        " Treat the difference between machines as the run-to-run spread of a single-seed row.",
        f"Failures: `tables/<suite>/rows.csv` counts images of Dice below {hard_images.LOW} and of HD95 above"
        f" {hard_images.FAR_MM:.0f} mm. At a low resolution NSD at 2 mm is low for every network.",
        "For research only; not a medical device.",
    )
    return "\n".join(paragraph(line, "- ") for line in lines)
