"""Training: reproducible, best weights kept, schedule obeyed, divergence told."""

import math
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from processors import BFLOAT16

import lungseg
from lungseg import metrics, runtime, training
from lungseg.batches import to_arrays
from lungseg.errors import UsageError
from lungseg.losses import LOSSES, dice_loss
from lungseg.prepare import Prepared
from lungseg.provenance import weights_sha256
from lungseg.recipes import Augmentation, Recipe
from lungseg.splits import Fold

SIDE = 16
RECIPE = Recipe("tiny", epochs=3, batch_size=2, learning_rate=1e-2)
FOLD = Fold(train=("a", "b", "c", "d", "e"), validation=("f", "g"), test=("h",))


def prepared(spoilt=None, side=SIDE):
    """Discs, brighter than what is around them; ``spoilt`` is an id whose image holds a NaN."""
    generator = np.random.default_rng(0)
    rows, columns = np.indices((side, side)) / side
    ids = tuple("abcdefgh")
    centres = generator.uniform(0.35, 0.65, (len(ids), 2))
    masks = np.stack([(rows - r) ** 2 + (columns - c) ** 2 < 0.08 for r, c in centres])
    images = (0.3 + 0.4 * masks + generator.normal(0, 0.05, masks.shape)).astype(np.float32).clip(0, 1)
    if spoilt:
        images[ids.index(spoilt), 0, 0] = np.nan
    return Prepared(ids, ids, images, masks, (None,) * len(ids), "raw", "sha")


def one_layer(seed=0):
    """The smallest network that can train, for what does not depend on the network."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((SIDE, SIDE, 1))
    return keras.Model(inputs, keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")(inputs))


def network(dtype="float32"):
    """Everything that can keep state between epochs: normalisation, dropout, Adam's moments."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIDE, SIDE, 1))
    x = keras.layers.Conv2D(4, 3, padding="same", dtype=dtype)(inputs)
    x = keras.layers.ReLU(dtype=dtype)(keras.layers.BatchNormalization(momentum=0.9, dtype=dtype)(x))
    x = keras.layers.Dropout(0.3, dtype=dtype)(x)
    return keras.Model(inputs, keras.layers.Conv2D(1, 1, activation="sigmoid", dtype="float32")(x))


def trained(recipe=RECIPE, model=None, data=None, seed=0, watch=None):
    model = model or one_layer()
    return model, training.fit(model, data or prepared(), FOLD, recipe, seed, watch)


def test_same_seed_same_history_and_weights():
    first, again = (trained(replace(RECIPE, epochs=2), network())[1] for _ in range(2))
    assert first.weights_sha256 == again.weights_sha256
    assert {k: v for k, v in first.history.items() if "seconds" not in k} == {
        k: v for k, v in again.history.items() if "seconds" not in k
    }


def test_another_seed_is_another_order_of_images():
    assert trained(seed=0)[1].weights_sha256 != trained(seed=1)[1].weights_sha256


def test_history_holds_one_number_an_epoch_and_the_watcher_hears_each():
    heard = []
    _, result = trained(watch=heard.append)
    assert set(result.history) == set(training.HISTORY)
    assert all(len(values) == 3 for values in result.history.values())
    assert [(now["epoch"], now["epochs"]) for now in heard] == [(1, 3), (2, 3), (3, 3)]
    assert [now["val_loss"] for now in heard] == result.history["val_loss"]
    assert result.history["loss"] == pytest.approx([1 - dice for dice in result.history["dice"]], abs=1e-6)
    assert result.history["loss"][-1] < result.history["loss"][0]


def test_model_is_left_with_the_weights_of_its_best_epoch():
    model, result = trained(replace(RECIPE, epochs=6, learning_rate=0.9))
    losses = result.history["val_loss"]
    assert result.best_epoch == losses.index(min(losses)) != len(losses) - 1, "else this test shows nothing"
    images, masks = to_arrays(prepared(), FOLD.validation)
    loss = keras.ops.convert_to_numpy(dice_loss(masks, model(images, training=False))).mean()
    assert loss == pytest.approx(min(losses), abs=1e-6)
    assert result.weights_sha256 == weights_sha256(model.get_weights())


@pytest.mark.fault("F53")
@pytest.mark.parametrize(
    ("losses", "best"),
    [
        ([0.5, 0.4, 0.45], 1),
        ([0.5, 0.4, 0.4], 1),
        ([math.nan, 0.5, 0.4, math.nan, 0.45], 2),
        ([math.inf, 0.5], 1),
        ([0.5, math.nan, -math.inf], 0),
        ([math.nan, math.nan], 0),
    ],
    ids=str,
)
def test_best_is_the_first_lowest_finite_loss(losses, best):
    keeper = training.BestWeights()
    for epoch, loss in enumerate(losses):
        keeper.set_model(SimpleNamespace(get_weights=lambda epoch=epoch: [np.array(epoch)]))
        keeper.on_epoch_end(epoch, {"val_loss": loss})
    assert keeper.epoch == best
    assert keeper.weights == [np.array(best)]


@pytest.mark.parametrize("share", [-0.1, 1, 1.5, math.nan])
def test_an_average_that_keeps_all_or_less_than_nothing_is_refused(share):
    with pytest.raises(UsageError, match=f"ema_decay {share}: .* above 0 and below 1, or 0 for no average"):
        trained(replace(RECIPE, ema_decay=share))


@pytest.mark.parametrize("precision", [pytest.param("mixed_bfloat16", marks=BFLOAT16), "mixed_float16"])
def test_an_average_of_half_precision_training_is_of_its_float32_weights(precision):
    model = network(precision)
    recipe = replace(RECIPE, epochs=2, precision=precision, ema_decay=0.5)
    result = trained(recipe, model)[1]
    assert all(weight.dtype == np.float32 and np.isfinite(weight).all() for weight in model.get_weights())
    assert np.isfinite(result.history["val_loss"]).all()


def test_best_by_hard_dice_heeds_no_loss_and_no_soft_dice():
    keeper = training.BestWeights("val_hard_dice")
    for epoch, (loss, dice) in enumerate([(0.3, 0.8), (0.2, 0.9), (0.1, 0.85)]):
        keeper.set_model(SimpleNamespace(get_weights=lambda epoch=epoch: [np.array(epoch)]))
        keeper.on_epoch_end(epoch, {"val_loss": loss, "val_dice": 1 - loss, "val_hard_dice": dice})
    assert keeper.epoch == 1


@pytest.mark.parametrize("monitor", ["val_loss", "val_hard_dice"])
def test_a_recipe_says_what_is_best(monitor):
    result = trained(replace(RECIPE, epochs=6, learning_rate=0.9, monitor=monitor))[1]
    sign = 1 if monitor == "val_loss" else -1
    assert result.best_epoch == int(np.argmin(sign * np.array(result.history[monitor])))


def test_an_unknown_monitor_is_refused():
    with pytest.raises(UsageError, match="unknown monitor 'val_dice': known are val_loss, val_hard_dice"):
        trained(replace(RECIPE, monitor="val_dice"))


def test_validation_watches_the_leaderboards_dice():
    """Of the masks, an image at a time, whatever the batch: what ``lungseg.metrics`` counts."""
    model, data = one_layer(), prepared()
    fold = replace(FOLD, train=("a", "b"), validation=("c", "d", "e", "f", "g"))
    result = training.fit(model, data, fold, replace(RECIPE, epochs=1), 0)
    rows = [data.index_of[key] for key in fold.validation]
    predictions = training.probabilities(model, data.images[rows]) >= 0.5
    right = np.mean(
        [metrics.dice(data.masks[row], prediction) for row, prediction in zip(rows, predictions, strict=True)]
    )
    assert result.history["val_hard_dice"][0] == pytest.approx(right, abs=1e-6)
    assert result.history["val_dice"][0] != pytest.approx(right, abs=1e-3), "or the soft one was watched"


def after_each_epoch(monkeypatch, recipe, original=training.History):
    """All weights after each epoch of training, and what the training then leaves."""
    seen = []

    class History(original):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(self.model.get_weights())
            super().on_epoch_end(epoch, logs)

    monkeypatch.setattr(training, "History", History)
    return seen, *trained(recipe, network())  # whose normalising statistics are no trained weights


def test_an_average_of_the_weights_is_validated_and_kept_and_training_goes_on_without_it(monkeypatch):
    recipe = replace(RECIPE, epochs=6, learning_rate=0.1)
    plain, *_ = after_each_epoch(monkeypatch, recipe)
    seen, model, result = after_each_epoch(monkeypatch, replace(recipe, ema_decay=0.3))
    for one, other in zip(plain, seen, strict=True):
        assert all((a == b).all() for a, b in zip(one, other, strict=True)), "the average was trained on"
    averages = [seen[0]]
    for share, weights in zip((2 / 11, 3 / 12, 0.3, 0.3, 0.3), seen[1:], strict=True):
        averages.append([share * old + (1 - share) * new for old, new in zip(averages[-1], weights, strict=True)])
    for kept, expected in zip(model.get_weights(), averages[result.best_epoch], strict=True):
        assert kept == pytest.approx(expected, abs=1e-6)
        assert kept.dtype == np.float32
    for epoch, average in enumerate(averages):
        model.set_weights(average)
        images, masks = to_arrays(prepared(), FOLD.validation)
        loss = keras.ops.convert_to_numpy(dice_loss(masks, model(images, training=False))).mean()
        assert loss == pytest.approx(result.history["val_loss"][epoch], abs=1e-5)
    assert result.best_epoch == np.argmin(result.history["val_loss"]) > 0


@pytest.mark.fault("F51")
@pytest.mark.parametrize("spoilt", ["c", "f"], ids=["training", "validation"])
def test_a_loss_that_is_not_finite_ends_the_training(spoilt):
    heard = []
    with pytest.raises(training.Diverged, match=r"epoch 1: .*loss.* is not a finite number"):
        trained(data=prepared(spoilt), watch=heard.append)
    assert heard == []


def test_learning_rate_falls_on_a_plateau_and_training_ends_on_a_longer_one():
    still = replace(
        RECIPE,
        epochs=20,
        learning_rate=1e-12,
        minimum_learning_rate=4e-13,
        plateau_patience=2,
        early_stopping_patience=6,
    )
    _, result = trained(still)
    rates = [1e-12, 1e-12, 1e-12, 5e-13, 5e-13, 4e-13, 4e-13]
    assert result.history["learning_rate"] == pytest.approx(rates, rel=1e-3)


def test_cosine_rises_over_its_warm_up_falls_to_the_lowest_rate_and_trains_every_epoch():
    recipe = replace(RECIPE, epochs=8, cosine=True, warmup_epochs=2, early_stopping_patience=1)
    rates = trained(recipe)[1].history["learning_rate"]
    assert len(rates) == 8
    assert rates[1] == pytest.approx(recipe.learning_rate, rel=1e-3)
    assert rates[0] < rates[1] > rates[2]
    assert rates[1:] == sorted(rates[1:], reverse=True)
    middle = (recipe.learning_rate + recipe.minimum_learning_rate) / 2
    assert rates[4] == pytest.approx(middle, rel=1e-3)
    assert rates[-1] == pytest.approx(recipe.minimum_learning_rate, rel=1e-3)


def test_a_cosine_is_compiled_once_a_training_not_once_an_epoch(monkeypatch):
    made, details = [], []

    def compiled(function):
        made.append(function)
        return lambda step: details.append(int(step)) or function(step)

    monkeypatch.setattr(runtime, "compiled", compiled)
    result = trained(replace(RECIPE, epochs=4, cosine=True, warmup_epochs=1))[1]
    assert len(made) == 1
    assert len(details) == len(result.history["learning_rate"]) == 4
    assert details == [details[0] * epoch for epoch in (1, 2, 3, 4)]


@pytest.mark.parametrize("warm_up", [-1, 3, 4])
def test_a_warm_up_that_leaves_no_epoch_is_refused(warm_up):
    with pytest.raises(UsageError, match=f"{warm_up} warm-up epochs of 3 epochs; expected at least 0 and fewer"):
        trained(replace(RECIPE, cosine=True, warmup_epochs=warm_up))


@pytest.mark.fault("F46")
def test_validation_is_never_augmented():
    """Noise that drowns every image: a validation image that got it would score otherwise than the prepared one."""
    recipe = replace(RECIPE, epochs=1, augmentation=Augmentation(noise=5, brightness=1))
    model, result = trained(recipe)
    images, masks = to_arrays(prepared(), FOLD.validation)
    loss = keras.ops.convert_to_numpy(dice_loss(masks, model(images, training=False))).mean()
    assert loss == pytest.approx(result.history["val_loss"][0], abs=1e-6)


def test_an_augmentation_reaches_the_training():
    one, other = (trained(replace(RECIPE, augmentation=how))[1] for how in (None, Augmentation(shift=0.2)))
    assert one.weights_sha256 != other.weights_sha256


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_trains(loss):
    history = trained(replace(RECIPE, loss=loss, epochs=5))[1].history
    assert history["loss"][-1] < history["loss"][0]


def test_unknown_loss_lists_the_known():
    with pytest.raises(UsageError, match="'focal': known are dice"):
        trained(replace(RECIPE, loss="focal"))


def test_hash_of_weights_sees_values_and_shapes():
    def of(*weights):
        return weights_sha256(weights)

    flat, square = np.arange(4, dtype=np.float32), np.arange(4, dtype=np.float32).reshape(2, 2)
    assert of(flat) == of(flat.copy())
    assert len({of(flat), of(square), of(square.T), of(flat + 1), of(flat.astype(np.float64)), of(flat, flat)}) == 6
    assert of(square.T) == of(square.T.copy())


@pytest.mark.slow
def test_one_image_can_be_learnt_by_heart():
    """A U-Net through the whole of ``fit``; that each network can is the contract's, at a rate that suits it."""
    keras.utils.set_random_seed(0)
    data, alone = prepared(side=32), Fold(("a",), ("a",), ("a",))
    recipe = replace(RECIPE, epochs=300, early_stopping_patience=300, plateau_patience=50, learning_rate=3e-3)
    result = training.fit(lungseg.build("unet", (32, 32, 1), 4), data, alone, recipe, 0)
    assert max(result.history["val_dice"]) > 0.98
