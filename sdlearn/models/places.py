"""Where a model is loaded to, and in which precision; what a loaded one is moved by as well."""

from sdlearn.stages.devices import DTYPES, choose_device, choose_dtype

__all__ = ["DTYPES", "choose_device", "choose_dtype"]
