"""``results/METHODS.md``: definitions, protocol, statistics, limits, published numbers and a glossary, once for all
pages. Numbers come from the code and the records' own power simulation."""

from __future__ import annotations

from collections.abc import Sequence

from bench import names
from bench.markdown import generated, listed, paragraph, table
from bench.pages import literature
from bench.records.record import RISE
from bench.statistics import hard_images, stats
from bench.statistics.pairs import ALL_PAIRS, MEASURES
from bench.statistics.rows import Leaderboard
from bench.statistics.scores import FIXED_SPLIT
from bench.statistics.subgroups import MIN_GROUP
from bench.statistics.verdicts import ALPHA, MARGIN, MIN_SEEDS, OUTLYING
from bench.suites import THREE
from lungseg.intervals import MIN_PATIENTS, RESAMPLES
from lungseg.metrics import METRICS

DEFINITIONS = (
    ("Dice", "2 TP / (2 TP + FP + FN) of one image, equal to the F1 score of the lung class. A pixel is lung where its"
     " probability is at least 0.5."),
    ("Mean Dice", "the headline score. Scores are averaged over the images of each patient, then over patients. With"
     " several seeds, scores are first averaged over the seeds of an image."),
    ("Pooled Dice", "computed from counts summed over all images and seeds (micro average), as Keras metrics and"
     " confusion matrices do. Images with more lung weigh more."),
    ("IoU, precision, recall, accuracy", "means over patients, from the same counts. Every image and every pooled row"
     " is checked for IoU = Dice / (2 - Dice) and F1 = Dice before anything is printed."),
    ("HD95", "95th percentile Hausdorff distance: the larger of the two directed 95th percentiles of border distances"
     " (median over predictions). An infinite distance (one mask empty) counts as the largest."),
    ("ASSD", "average symmetric surface distance: the mean distance from the pixels of each border to the other"
     " border."),
    ("NSD", "normalised surface Dice: the share of both borders that lies within 2 units of the other (mean over"
     " patients)."),
    ("Stored size", "the original size of an image's mask. HD95, ASSD and NSD on a leaderboard are computed at this"
     " size: probabilities are upsampled to it, then thresholded. Distances are in mm where the pixel spacing is known,"
     " else in px."),
    ("Two lungs", "share of predictions with exactly two connected components and no hole, at the network's size."),
    ("ECE, Brier", "expected calibration error (15 equal-width bins) and Brier score over all pixels at the network's"
     " input size. 0 is perfect; most pixels are easy to classify."),
    ("Soft Dice", "Dice of probabilities, without a threshold. Validation curves and convergence warnings use it;"
     " protocol 1 also selects the epoch by it."),
    ("GMACs", "billions of multiply-accumulate operations in one image's forward pass."),
    ("Training time", "median over cells. On a CPU it is processor time on one core, which cells running in parallel do"
     " not lengthen. On an accelerator, and in old records without processor time, it is wall-clock time."
     " [SPEED.md](SPEED.md) has speeds measured in isolation."),
    ("Time to 0.95, 0.97", "time on the same clock until Dice on the validation masks first reached this value: median"
     " over cells, where cells that never reached it count as the longest. The first epoch includes compilation, so it"
     " counts as the median of the other epochs; the training time does include compilation."),
)  # fmt: skip

GLOSSARY = (
    ("Cell", "one training run: a network, a fold and a seed. Its record is one JSON file under `runs/`."),
    ("Suite", "a comparison with one dataset, input size, width and recipe. Each suite has one page."),
    ("Table", "the rows of a suite with the same machine, backend, precision and protocol. A page may have several."),
    ("Row", "one network (or ensemble) in a table, evaluated over its complete seeds."),
    ("Recipe", "the training settings. `reference` is the source protocol's (50 epochs, no augmentation). `strong` adds"
     " augmentation, a cosine schedule and 150 epochs. A variant changes one of these settings."),
    ("Fold", "a subset of the patients that a training run holds out and then predicts."),
    ("Seed", "determines the initial weights, the order of images, augmentation and, since protocol 2, the split into"
     " folds."),
    ("Width", "number of channels in a network's first level (base filters). For M2U-Net, LW-Net, SegFormer-B0,"
     " MobileNetV2 U-Net, DeepLabV3+, Swin-Unet and TransUNet it is a scale, on which 64 is the published size."),
    ("Source protocol", "the setup that this project set out to reproduce: 256 px, 64 filters in the first level, 50"
     " epochs, batch size 16, Adam, Dice loss."),
    ("Long", "variant `long` of recipe `strong`: batch size 4, 300 epochs, elastic deformation."),
    ("TTA", "test-time augmentation: the mean of the predictions for slightly rotated, scaled and brightened copies."),
    ("Post", "post-processing of a mask: its two largest pieces are kept, their holes filled."),
    ("Fast", "operations need not be deterministic (bit-identical between runs); the default on an accelerator."),
    ("Protocol", "the rules that make records comparable. Numbers from two protocols are never compared."),
    ("Verdict", "the result of the paired tests of two rows: better, worse, equivalent or not known."),
    ("Phantom", "a synthetic radiograph: exact ground truth, no patient, no download."),
    ("Gate", "the command that fails when a change reduces accuracy."),
)  # fmt: skip


def methods_page(leaderboards: Sequence[Leaderboard]) -> str:
    """The Markdown of the page."""
    blocks = [
        generated(),
        "# Methods",
        "This page defines the numbers on all pages, describes how they were computed and states their limits.",
        "## Definitions", _listed(DEFINITIONS), *_further_metrics(),
        "## Protocol", _protocol(),
        "## Statistics", _statistics(), *_power(leaderboards),
        "## Limits", _limits(),
        "## Inter-observer agreement", paragraph(literature.people_agree()),
        "## Published results under other protocols", *literature.published(), *literature.ours(leaderboards),
        "## Glossary", _listed(GLOSSARY),
    ]  # fmt: skip
    return "\n\n".join(blocks) + "\n"


def _listed(items: Sequence[tuple[str, str]]) -> str:
    return "\n".join(paragraph(f"**{head}**: {text}", "- ") for head, text in items)


def _further_metrics() -> list[str]:
    """Definitions of metrics that brought their own."""
    details = [
        paragraph(f"**{metric.column.partition(',')[0] or metric.name}**: {metric.definition}", "- ")
        for metric in METRICS.values()
        if metric.definition
    ]
    return ["\n".join(details)] if details else []


def _protocol() -> str:
    return _listed(
        (
            ("Out of fold", "for each seed, every image is predicted once, by a model that has seen neither it nor any"
             " image known to be of the same patient. Nothing is selected on test images."),
            ("Protocol 2", "folds never split a patient. In Montgomery and Shenzhen images of the same patient are"
             " identified by anatomy (`same_patient/`); other data name their patients, or each image counts as one."
             " Each seed has its own split into folds, so the spread over seeds includes the split."
             " The recipe states which validation score selects the kept epoch."),
            ("Protocol 1", "kept for history. Patients were not yet linked, so some test images had another image of"
             " the same patient in the training set. All seeds share one split."),
            ("Equal budget", "networks of a table share data, folds, seeds, epochs and recipe. With early stopping,"
             " some train for fewer epochs; `tables/<suite>/folds.csv` lists how many."),
            ("Fixed split", f"Dice pooled over the {len(FIXED_SPLIT)} test images of the published Montgomery split of"
             " deepdraw (bob.ip.binseg), each predicted by the model of the fold that held it out. It is the only"
             " number here that resembles published ones, beside which it stands below. These images are easier than"
             " the whole set."),
            ("Ensembles", "mean of the probabilities of trained networks. Each member predicts only images that its own"
             " fold held out. A mean of several trainings counts as one set of weights and costs the sum of its"
             " members."),
            ("Ranked rows", f"a rank requires at least {stats.MIN_IMAGES} images, {MIN_PATIENTS} patients and one seed"
             " that predicted every image. A row uses its complete seeds; a seed with missing folds is named and left"
             " out."),
        )
    )  # fmt: skip


def _statistics() -> str:
    level = f"{100 * (1 - ALPHA):.0f} %"
    margins = ", ".join(f"{measure.words} {measure.margin:g}" for measure in MEASURES)
    return _listed(
        (
            ("Interval of a mean", f"{level} BCa bootstrap interval (Efron 1987) from {RESAMPLES:,} resamples of"
             " patients and, within each, of seeds, at the levels of Student's t (Hesterberg 2015). In simulations"
             " (tests/test_coverage.py) it covers 94 to 95 % for 138 skewed scores and 93 % for 18 to 60."),
            ("Difference of two rows", "paired over the same patients. The test is Student's t with Satterthwaite's"
             " degrees of freedom. Squared standard error: variance of the difference over patients / number of"
             " patients + each row's variance of seeds / its number of seeds."
             f" {level} intervals of differences are not corrected for the number of pairs and verdicts are, so an"
             " interval may exclude 0 where the verdict is not known. A p value beside a verdict is of its test:"
             " of equivalence where that is the verdict, else of no difference."),
            ("Variance of seeds", "of a row, raised to the average over the table's rows where it is smaller, because"
             " that of three seeds is often too small by chance. A row whose seeds vary more than the others' by Dice"
             f" (Cochran's test at {100 * OUTLYING:.0f} %, ISO 5725-2) is left out of that average and is tested by its"
             " own variance, by every measure; a note under the table names it."),
            ("Better, worse", f"the difference is significant at {100 * ALPHA:.0f} %, Holm-corrected for all pairs of"
             " the table."),
            (listed([names.display(name) for name in THREE]), "the comparison that the project was set up for."
             " Where other networks are ranked beside them, pages also give these three as a table of their own: with"
             " variances of seeds and correction from their three rows alone. This was added after the results of"
             " montgomery-128 were known; where it changes a verdict, both are printed."),
            ("Equivalent", f"two one-sided tests (Schuirmann 1987), also Holm-corrected, rule out a difference of"
             f" {MARGIN} Dice or more. This verdict takes precedence over a significant difference. Two one-sided tests"
             f" at {100 * ALPHA:.0f} % correspond to the {100 * (1 - 2 * ALPHA):.0f} % interval, so the {level}"
             f" interval shown may reach past {MARGIN}."),
            ("Not known", "the data support none of these conclusions."),
            ("Other measures", "IoU, precision, recall, accuracy, and Dice and NSD at the stored size undergo the same"
             " tests, Holm-corrected over pairs for each measure separately (`tables/<suite>/measures.csv`). As for"
             " Dice, each margin is about a tenth of the SD over Montgomery's images (recall: about a twentieth):"
             f" {margins}. Verdicts, ranks and figures use Dice at the network's input size."),
            ("Fewer than three seeds", f"the verdict is about these trained weights. With {MIN_SEEDS} seeds or more on"
             " both sides it is about the methods."),
            ("Rank", "a range, from 1 + the number of better rows to the number of rows that are not worse. Above"
             f" {ALL_PAIRS} rows, only neighbours are compared."),
            ("Ties", "letters in `tables/<suite>/rows.csv`. If two rows share a letter, neither is better (Piepho"
             " 2004)."),
            ("P(A > B)", "probability that a training of A beats a training of B on an image of a patient; ties count"
             " half. Wilcoxon's signed-rank p in `pairs/` is for information only: it treats the seeds as fixed and"
             " calls equal methods different far too often."),
            ("Variance components", "standard deviations of Dice by image, fold, seed and residual (Henderson's method"
             " 3) in `tables/<suite>/rows.csv`."),
            ("Label tolerance", "Dice against the ground truth eroded or dilated by 1 to 3 px, in the same CSV file."),
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
    headers = ["Suite", "Device", "Rows", "Seeds", "Pair error", "Table error", "3 seeds", "5 seeds", "10 seeds"]
    note = (
        "Simulated from the variances of the records (`tests/VERDICTS.md` also has the rate of false equivalence)."
        " Pair error: how often two equal methods that are compared alone, without correction, are called different."
        " Table error: how often any pair of equal methods is, in a Holm-corrected table. 3, 5 and 10 seeds: the"
        " smallest difference found with 80 % power."
    )
    return [paragraph(note), table(headers, rows, left=2)]


def _limits() -> str:
    lines = (
        f"Seeds: most tables have one. Only rows of {MIN_SEEDS} seeds or more describe methods.",
        "Data: public posteroanterior radiographs from two hospitals, mostly of adults. Dice falls on images of the"
        " other hospital, where other people also drew the masks. Groups of fewer than"
        f" {MIN_GROUP} images are not shown, and a gap between groups does not show its cause.",
        "Ground truth: one set of masks per hospital (Montgomery: Candemir et al. 2014; Shenzhen: Stirenko et al."
        " 2018). Protocol 2 links a patient's images by anatomy, which finds most links but perhaps not all.",
        "Selection: the highest of many rows is biased upwards; each page states the result of nested selection.",
        f"Convergence: a cell is reported as not converged if soft validation Dice rose by more than {RISE} in the"
        " last fifth of the epochs. The order holds for this budget.",
        "Reproduction: the commands under a page reproduce its first table, including ensembles. Commands that once"
        " made a table work only at the commits in `tables/<suite>/cells.csv`, because the current protocol"
        " gives other records.",
        "Machines: another backend, processor or library version sums in a different order, and training amplifies"
        " this. Treat the difference between machines as the run-to-run spread of a single-seed row.",
        f"Failures: `tables/<suite>/rows.csv` counts images with Dice below {hard_images.LOW} and with HD95 above"
        f" {hard_images.FAR_MM:.0f} mm. At low resolution, NSD at 2 mm is low for every network.",
        "For research only; not a medical device.",
    )
    return "\n".join(paragraph(line, "- ") for line in lines)
