"""The controlled vocabulary: concepts with definitions, each dataset's aliases for them, and the mapping."""
