"""Write docs/rules.md from the rules themselves: python scripts/rules_table.py"""

from __future__ import annotations

from pathlib import Path

from scaleout_cfn.lint import RULES

HEAD = """# The rules of `lint`

`lint` runs cfn-lint on each template, and these rules on the set as a whole: what no linter of single templates can
see. Each has a source. An error stops `render` too; a warning does not, and what is for information does not even count
in `lint`'s exit code.

Rules are switched off as cfn-lint's own are, by their id or how it begins: `ignore_checks` in a `.cfnlintrc` in the
folder, or under `Metadata: cfn-lint: config:` of a template or (the whole id) of a resource.

A rule is a class in `scaleout_cfn/lint/rules`; this page is written by `python scripts/rules_table.py`.

| rule | | what holds | source |
|---|---|---|---|
"""


def page() -> str:
    """The page as Markdown."""
    rows = [f"| {rule.id} | {rule.severity} | {rule.sentence} | <{rule.source}> |" for rule in RULES]
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    (Path(__file__).parents[1] / "docs" / "rules.md").write_text(page(), encoding="utf-8")
