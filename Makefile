# make demo   counts the words of this Python's own standard library, exactly once
# make sessionization, make fraud   the other examples
# make test   runs the whole suite, compiled and not
# make check  formatting, lint and types
# make bench  the benchmarks; each ends with one JSON line
#
# Everything happens in .venv (and .venv-pure, the uncompiled leg of the tests). STREAMLOG_COMPILE
# is as in setup.py; PYTHON names another interpreter, PYTEST_ARGS goes to pytest.

SHELL := /bin/sh
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
# Folders too: they change where a module goes away, which must not stay installed.
SOURCES := $(shell find streamlog processors connectors -name '*.py' -o -type d ! -name __pycache__) \
	pyproject.toml setup.py
PYTEST := bin/pytest -q -n auto --dist worksteal $(PYTEST_ARGS)
PURE_TESTS := tests/unit tests/property tests/conformance
KIND := from streamlog.compiled import kind; print(kind())
DESCRIBE := from streamlog.compiled import describe; print(describe())
DEMO_DIR ?= .demo

.PHONY: demo sessionization fraud test test-installed test-pure check bench clean

demo: .venv/.installed
	.venv/bin/python examples/word_count/demo.py --dir $(DEMO_DIR)

sessionization: .venv/.installed
	.venv/bin/python examples/sessionization/demo.py --dir .demo-sessions

fraud: .venv/.installed
	.venv/bin/python examples/fraud_detection/demo.py --dir .demo-fraud

test: test-installed test-pure

test-installed: .venv/.installed .venv/.test
	STREAMLOG_EXPECT=$(if $(filter require,$(STREAMLOG_COMPILE)),compiled,$$(.venv/bin/python -P -c '$(KIND)')) \
	.venv/$(PYTEST) tests

test-pure: .venv-pure/.installed .venv-pure/.test
	STREAMLOG_EXPECT=pure .venv-pure/$(PYTEST) $(wildcard $(PURE_TESTS))

check: .venv/.installed .venv/.test .venv/.dev
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/pyright --pythonpath .venv/bin/python

bench: .venv/.installed .venv/.test
	@for script in record log durable compaction partitions large_topic word_count latency start dsl; do \
		echo "== $$script"; .venv/bin/python benchmarks/$$script.py || exit 1; done

clean:
	rm -rf .venv .venv-pure .demo .demo-sessions .demo-fraud

.venv/bin/python .venv-pure/bin/python:
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or newer is needed (make PYTHON=...)" >&2; exit 1; }
	$(PYTHON) -m venv $(patsubst %/bin/python,%,$@)

# The distribution alone; what the extras need is installed beside it, so that a changed source
# is built once whatever is asked for.
.venv/.installed: $(SOURCES) | .venv/bin/python
	.venv/bin/pip install -q --disable-pip-version-check .
	@echo "streamlog runs $$(.venv/bin/python -P -c '$(DESCRIBE)')"
	@test -n "$(STREAMLOG_COMPILE)" || test "$$(.venv/bin/python -P -c '$(KIND)')" = compiled || \
		echo "warning: the kernels did not compile; '.venv/bin/pip install -v .' says why" >&2
	@touch $@

.venv-pure/.installed: $(SOURCES) | .venv-pure/bin/python
	STREAMLOG_COMPILE=0 .venv-pure/bin/pip install -q --disable-pip-version-check .
	@echo "streamlog runs $$(.venv-pure/bin/python -P -c '$(DESCRIBE)')"
	@touch $@

%/.test: pyproject.toml | %/bin/python
	$*/bin/pip install -q --disable-pip-version-check $$($*/bin/python -c "$$EXTRA" test)
	@touch $@

%/.dev: pyproject.toml | %/bin/python
	$*/bin/pip install -q --disable-pip-version-check $$($*/bin/python -c "$$EXTRA" dev)
	@touch $@

export EXTRA = import sys, tomllib; \
	print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"][sys.argv[1]])
