"""Every rule: importing this registers them all."""

from surgsigma_dagster.quality import dialogue_rules, label_rules
from surgsigma_dagster.quality.rule import N_EXAMPLES, RULES, Rule, Tables, evaluate, releasable

__all__ = ["N_EXAMPLES", "RULES", "Rule", "Tables", "dialogue_rules", "evaluate", "label_rules", "releasable"]
