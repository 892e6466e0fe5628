"""surgsigma_dagster: from native surgical datasets to a clean, traceable vision-language corpus.

Domain packages (`sources`, `vocabulary`, `dialogue`, …) know nothing of Dagster; `assets` and `resources`
call them; only `build` and `automation` see the assets.
"""
