"""The order of images: every id once an epoch, and a pure function of seed and epoch."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lungseg.batches import Batches, augment, rng_for, to_arrays
from lungseg.prepare import Prepared
from lungseg.recipes import Augmentation

AUGMENTATION = Augmentation(rotation_degrees=20, scale=0.2, shift=0.1, gamma=0.3, contrast=0.2, noise=0.05)


def prepared(n):
    """Image k is all k / 100, and its mask holds k + 1 pixels."""
    images = np.repeat(np.arange(n, dtype=np.float32), 64 * 64 // 16).reshape(n, 16, 16) / 100
    masks = np.arange(256).reshape(16, 16) <= np.arange(n)[:, None, None]
    ids = tuple(f"c{k:02d}" for k in range(n))
    return Prepared(ids, ids, images, masks, (None,) * n, "raw", "sha")


ORDERS = st.tuples(st.integers(1, 30), st.integers(1, 12), st.integers(0, 2**32 - 1), st.integers(0, 99))


@pytest.mark.fault("F49")
@given(ORDERS)
def test_every_image_comes_once_an_epoch_with_its_own_mask(drawn):
    n, size, seed, epoch = drawn
    data = prepared(n)
    seen = []
    for images, masks in Batches(data, data.ids, size, seed).epoch(epoch):
        assert images.shape == masks.shape == (len(images), 16, 16, 1)
        assert images.dtype == masks.dtype == np.float32
        numbers = np.rint(images[:, 0, 0, 0] * 100).astype(int).tolist()
        assert masks.sum(axis=(1, 2, 3)).tolist() == [k + 1 for k in numbers]
        assert set(np.unique(masks)) <= {0.0, 1.0}
        seen += numbers
    assert sorted(seen) == list(range(n))


@given(ORDERS)
def test_batches_are_of_one_size_give_or_take_one_image(drawn):
    n, size, seed, epoch = drawn
    data = prepared(n)
    batches = Batches(data, data.ids, size, seed)
    sizes = [len(images) for images, _ in batches.epoch(epoch)]
    assert len(sizes) == batches.steps
    assert sum(sizes) == n
    assert max(sizes) <= size
    assert max(sizes) - min(sizes) <= 1


@given(ORDERS, st.randoms(use_true_random=False))
def test_order_depends_on_seed_and_epoch_alone(drawn, random):
    n, size, seed, epoch = drawn
    data = prepared(n)
    shuffled = list(data.ids)
    random.shuffle(shuffled)
    used = Batches(data, shuffled, size, seed)
    for _ in used.epoch(epoch + 1):
        np.random.rand()  # as a network's own draws would
    assert used.order(epoch) == Batches(data, data.ids, 1, seed).order(epoch)


@pytest.mark.fault("F45")
@given(st.integers(0, 7), st.floats(0, 1, width=32))
def test_pixels_of_other_images_reach_no_batch(changed, value):
    """No statistic of the set enters a batch: another test image leaves every training tensor as it was."""
    data, train = prepared(8), [f"c{k:02d}" for k in range(8) if k != changed]
    before = [batch for epoch in range(2) for batch in Batches(data, train, 3, 1).epoch(epoch)]
    data.images[changed], data.masks[changed] = value, False
    after = [batch for epoch in range(2) for batch in Batches(data, train, 3, 1).epoch(epoch)]
    for one, other in zip(before, after, strict=True):
        assert np.array_equal(one[0], other[0])
        assert np.array_equal(one[1], other[1])


@given(ORDERS)
def test_without_an_augmentation_nothing_is_changed(drawn):
    n, size, seed, epoch = drawn
    data = prepared(n)
    batches = Batches(data, data.ids, size, seed)
    seen = np.concatenate([np.concatenate(batch, axis=-1) for batch in batches.epoch(epoch)])
    images, masks = to_arrays(data, batches.order(epoch))
    assert np.array_equal(seen, np.concatenate([images, masks], axis=-1))
    assert np.array_equal(images[..., 0], data.images[[data.index_of[key] for key in batches.order(epoch)]])
    assert np.array_equal(masks[..., 0], data.masks[[data.index_of[key] for key in batches.order(epoch)]])


@given(ORDERS)
def test_each_image_is_varied_by_seed_epoch_and_name_alone_and_the_set_stays_as_it_is(drawn):
    n, size, seed, epoch = drawn
    data = prepared(n)
    before = data.images.copy(), data.masks.copy()
    batches = Batches(data, data.ids, size, seed, AUGMENTATION)
    seen = np.concatenate([np.concatenate(batch, axis=-1) for batch in batches.epoch(epoch)])
    for key, (image, mask) in zip(batches.order(epoch), np.moveaxis(seen, -1, 1), strict=True):
        row = data.index_of[key]
        wanted = augment(data.images[row], data.masks[row], AUGMENTATION, rng_for(seed, epoch, key))
        assert np.array_equal(image, wanted[0])
        assert np.array_equal(mask, wanted[1])
    assert np.array_equal(data.images, before[0])
    assert np.array_equal(data.masks, before[1])


@given(st.integers(0, 2**31), st.integers(0, 99))
def test_another_seed_or_epoch_is_another_order(seed, epoch):
    data = prepared(30)
    order = Batches(data, data.ids, 4, seed).order
    assert order(epoch) != order(epoch + 1)
    assert order(epoch) != Batches(data, data.ids, 4, seed + 1).order(epoch)


@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 5))
def test_endless_batches_are_the_epochs_one_after_another(n, size, first):
    assume(n >= size)
    data = prepared(n)
    batches = Batches(data, data.ids, size, 7)
    endless = islice(batches.repeat(first), 2 * batches.steps)
    expected = [*batches.epoch(first), *batches.epoch(first + 1)]
    for (image, mask), (image2, mask2) in zip(endless, expected, strict=True):
        assert np.array_equal(image, image2)
        assert np.array_equal(mask, mask2)


def test_arrays_come_in_the_order_asked_for():
    data = prepared(5)
    images, masks = to_arrays(data, ["c03", "c01"])
    assert np.rint(images[:, 0, 0, 0] * 100).tolist() == [3, 1]
    assert masks.sum(axis=(1, 2, 3)).tolist() == [4, 2]


def test_unknown_id_is_an_error():
    with pytest.raises(KeyError):
        to_arrays(prepared(2), ["c09"])
