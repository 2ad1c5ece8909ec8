"""Recipes are values; the document's is what the source document says."""

from dataclasses import FrozenInstanceError, replace

import pytest

from lungseg.errors import UsageError
from lungseg.recipes import RECIPES, recipe


def test_names_are_the_recipes_own():
    assert all(recipe(name).name == name for name in RECIPES)


def test_document_recipe_is_the_source_documents():
    document = recipe("reference")
    assert (document.loss, document.batch_size, document.epochs, document.precision) == ("dice", 16, 50, "float32")
    assert document.batch_norm_momentum == 0.9
    assert document.early_stopping_patience < document.epochs


def test_unknown_recipe_lists_the_known():
    with pytest.raises(UsageError, match=r"'fast': known are reference"):
        recipe("fast")


def test_a_variant_is_another_value():
    document = recipe("reference")
    assert replace(document, name="long", epochs=99).batch_size == document.batch_size
    with pytest.raises(FrozenInstanceError):
        document.epochs = 99
    assert recipe("reference").epochs == 50
