"""From a frozen cohort to a released model, with the evidence of why. Nothing that serves imports it."""
