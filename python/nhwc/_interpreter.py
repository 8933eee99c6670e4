# python/nhwc/_interpreter.py -- refuses to be imported where the extension module would take itself apart
"""Imported before the extension module, whose types are the process's: a second interpreter that sets them up takes
them from the first, whatever it raises afterwards."""

try:  # CPython has no public way to ask: these are its own modules, from 3.13 on and before
    import _interpreters
except ImportError:
    try:
        import _xxsubinterpreters as _interpreters
    except ImportError:
        _interpreters = None

if _interpreters and _interpreters.get_current() != _interpreters.get_main():
    raise ImportError("nhwc cannot be imported in a subinterpreter: use the main interpreter, or several processes")
