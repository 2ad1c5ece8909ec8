# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lung segmentation: U-Net, ResUNet and R2U-Net compared
#
# Load radiographs and masks, look at them, train three networks under the same conditions, compare them on patients
# that none of them saw, and look at what they predict. On the procedural phantom this takes less than three minutes on
# two cores and needs no download. For the Montgomery radiographs put `MONTGOMERY` in place of `PHANTOM` in the line
# `chosen = PHANTOM`, after `lungseg data fetch montgomery` in the repository. The outputs then show patients: keep them
# to yourself.

# %%
import logging
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported: its notes on the processor
logging.disable(logging.WARNING)  # and on tracing, which several networks in one process cause

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from sklearn.metrics import classification_report

import lungseg
from lungseg import case_files, metrics, splits
from lungseg.datasets import phantom

work = Path(tempfile.mkdtemp(prefix="lungseg-"))  # the trained networks, too; copy those that you want to keep
PHANTOM = {"set": "phantom", "root": work / "phantom", "size": 64, "width": 8, "recipe": "quick"}
MONTGOMERY = {"set": "montgomery", "root": "../data/montgomery", "size": 128, "width": 16, "recipe": "strong"}
ARCHITECTURES = ["unet", "resunet", "r2unet"]
SEED = 0

chosen = PHANTOM

sns.set_theme(style="whitegrid", palette="colorblind")

# %% [markdown]
# ## Load
#
# A fifth of the patients is held out for testing. No patient is on both sides.

# %%
if chosen["set"] == "phantom":
    phantom.write(chosen["root"], n=40, size=(192, 160))
cases = lungseg.load(chosen["set"], chosen["root"])
test_ids = splits.folds(cases, 5, SEED)[0].test
training = [case for case in cases if case.id not in test_ids]
testing = [case for case in cases if case.id in test_ids]
bits = case_files.depth_of(cases)
pairs = [case_files.read_case(case, bits) for case in testing]  # (image in [0, 1], mask), as stored
print(f"{len(cases)} images: {len(training)} to train and validate on, {len(testing)} to test on")

# %% [markdown]
# ## Look at images and masks

# %%
figure, axes = plt.subplots(2, 4, figsize=(11, 6.4), layout="constrained")
for column, (case, (image, mask)) in enumerate(zip(testing[:4], pairs, strict=False)):
    axes[0, column].imshow(image, cmap="gray")
    axes[0, column].set_title(case.id, fontsize=10)
    axes[1, column].imshow(image, cmap="gray")
    axes[1, column].imshow(np.ma.masked_where(~mask, mask), cmap="winter", alpha=0.35)
for axis in axes.flat:
    axis.axis("off")
plt.show()

# %% [markdown]
# ## Train the three
#
# Each gets the same images, seed and recipe, and keeps the weights of its best epoch by the validation images. The
# source document's protocol is recipe `reference`; `quick` is the same with fewer epochs and smaller batches.

# %%
epochs, trained = [], {}
for name in ARCHITECTURES:

    def watch(event, name=name):
        if event["event"] == "epoch":
            epochs.append({**event, "network": name})

    trained[name] = lungseg.fit(
        training,
        work / name,
        architecture=name,
        width=chosen["width"],
        size=chosen["size"],
        recipe=chosen["recipe"],
        seed=SEED,
        hold_out=False,
        watch=watch,
    )
    card = trained[name].card
    print(f"{name}: {card.parameters:,} weights, {card.training['cpu_seconds']:.0f} s of processor time")

# %%
curves = pd.DataFrame(epochs)
figure, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
for axis, column, label in zip(axes, ["loss", "val_hard_dice"], ["training loss", "validation Dice"], strict=True):
    sns.lineplot(curves, x="epoch", y=column, hue="network", ax=axis)
    axis.set_ylabel(label)
plt.show()

# %% [markdown]
# ## Compare
#
# Accuracy, precision, recall and F1 are those of all pixels together. Mean Dice is over images, with a 95 % interval
# over patients: where intervals overlap widely, so few images do not tell which network is better.

# %%
masks = {name: lungseg.predict([image for image, _ in pairs], model) for name, model in trained.items()}
target = np.concatenate([mask.ravel() for _, mask in pairs])
predictions = {name: np.concatenate([mask.ravel() for mask in result]) for name, result in masks.items()}
scored = {name: lungseg.evaluate(model, testing) for name, model in trained.items()}

rows = []
for name in ARCHITECTURES:
    sums, dice = metrics.pooled(case["stored"] for case in scored[name].cases), scored[name].dice()
    rows.append(
        {"network": name, **{key: sums[key] for key in ("accuracy", "precision", "recall", "f1")},
         "mean Dice": dice["value"], "low": dice["low"], "high": dice["high"]}
    )  # fmt: skip
table = pd.DataFrame(rows).set_index("network")
table.round(4)

# %%
figure, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
ratios = table[["accuracy", "precision", "recall", "f1"]].reset_index().melt("network", var_name="metric")
sns.stripplot(ratios, x="metric", y="value", hue="network", dodge=True, jitter=False, size=9, ax=axes[0])
axes[0].set(xlabel="", ylabel="of all pixels")
sns.move_legend(axes[0], "lower center", bbox_to_anchor=(0.5, 1), ncol=3, title=None, frameon=False)
each = pd.DataFrame(
    [{"network": name, "Dice": case["stored"]["dice"]} for name in scored for case in scored[name].cases]
)
sns.stripplot(each, x="network", y="Dice", hue="network", ax=axes[1])
axes[1].set(xlabel="", ylabel="Dice of each test image")
plt.show()

# %% [markdown]
# ### Confusion matrices, in percent of the true class, and classification reports

# %%
figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
classes = ["background", "lung"]
for axis, name in zip(axes, ARCHITECTURES, strict=True):
    matrix = np.array(metrics.confusion_matrix(metrics.counts(target[None], predictions[name][None])), float)
    shares = 100 * matrix / matrix.sum(axis=1, keepdims=True)
    sns.heatmap(shares, annot=True, fmt=".2f", cmap="Blues", vmin=0, vmax=100, cbar=False, square=True, ax=axis,
                xticklabels=classes, yticklabels=classes)  # fmt: skip
    axis.set(title=name, xlabel="predicted", ylabel="true")
plt.show()

# %%
for name in ARCHITECTURES:
    print(f"{name}\n{classification_report(target, predictions[name], target_names=classes, digits=4)}")

# %% [markdown]
# ## What they predict
#
# The test image on which U-Net does worst and the one on which it does best. The true outline is orange, the
# prediction blue.

# %%
dice = [case["stored"]["dice"] for case in scored["unet"].cases]
chosen_images = [int(np.argmin(dice)), int(np.argmax(dice))]
figure, axes = plt.subplots(2, 4, figsize=(11, 6.6), layout="constrained")
for row, k in zip(axes, chosen_images, strict=True):
    image, mask = pairs[k]
    row[0].imshow(image, cmap="gray")
    row[0].set_title(testing[k].id, fontsize=10)
    for axis, name in zip(row[1:], ARCHITECTURES, strict=True):
        axis.imshow(image, cmap="gray")
        axis.imshow(np.ma.masked_where(~masks[name][k], masks[name][k]), cmap="winter", alpha=0.3)
        axis.contour(mask, levels=[0.5], colors="orange", linewidths=1.2)
        axis.set_title(f"{name}: Dice {metrics.dice(mask, masks[name][k]):.3f}", fontsize=10)
    for axis in row:
        axis.axis("off")
plt.show()
