"""`raysight demo`: an archive, Raysight, a chest CT, and what came back."""

from service.demo.run import run_demo

__all__ = ["run_demo"]
