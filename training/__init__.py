"""From a frozen cohort to a released model, with the evidence of why. Nothing that serves imports it."""

import os

# MLflow reads these when it is imported, and MONAI imports it. Nothing is sent to its makers, and what goes wrong in
# it reaches training.registry as an exception.
os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true", MLFLOW_LOGGING_LEVEL="CRITICAL")
