"""Write docs/rules.md from the rules themselves: python scripts/rules_table.py"""

from __future__ import annotations

from pathlib import Path

from scaleout_cfn.lint import RULES

HEAD = """# The rules of `lint`

`lint` runs cfn-lint on each template, and these rules on the set as a whole: what no linter of single templates can
see. Each has a source. An error stops `render` too; a warning does not, and what is for information does not even count
in `lint`'s exit code.

```
scaleout-cfn lint cdk.out 'stacks/**/*.yaml'
scaleout-cfn lint --explain S206
scaleout-cfn lint --only S --format sarif
scaleout-cfn lint --baseline lint.json --update-baseline
scaleout-cfn lint --baseline lint.json
```

It needs nothing else of this project: folders, files and globs of anybody's templates, CDK's output folder among them.
What is found in copies of a file is told once, with their names.

**Switched off** rules are as cfn-lint's own are, by their id or how it begins: `ignore_checks` in a `.cfnlintrc` in
the folder, or under `Metadata: cfn-lint: config:` of a template or (the whole id) of a resource. For one run
`--ignore` leaves rules out, and `--only` all others. Files that `ignore_templates` of a `.cfnlintrc`
names, by globs from its folder, are followed, and what is found in them is not told.

**A baseline** is a file of the findings that are there when somebody begins: `--baseline FILE --update-baseline`
writes it, `--baseline FILE` leaves them out, says how many, and how many of them are gone. A finding is known by its
file, its rule and its place in the template; its line and its words may change.

**Formats**: `--format json` for programs, `sarif` for code scanning, `github` for annotations in a pull request,
`junit` for CI systems. The exit code is 10 with errors, 11 with warnings, else 0, whatever the format.

**`--explain RULE`** says what a rule wants, why and who says so, with a wrong and a right template whose lines that
differ are marked; of cfn-lint's rules it shows what cfn-lint has.

**In cfn-lint itself**, and so in editors that run it: `cfn-lint --append-rules scaleout_cfn.lint.cfn_lint_rules`, or
`append_rules` in `.cfnlintrc`. There, rules of single templates alone are asked, and ids have the letter of their
severity before them, by which cfn-lint tells it: S206, a warning, is WS206.

**As a hook of pre-commit** (`.pre-commit-hooks.yaml`) and **as a step of GitHub Actions** (`action.yml`): name this
repository, with the folders in `args`, or in `paths` a line each.

A rule is a function in `scaleout_cfn/lint/rules`; this page is written by `python scripts/rules_table.py`, and the
examples of `--explain` by `python scripts/rule_examples.py` from the cases that the rules are tested on.

| rule | | what holds | source |
|---|---|---|---|
"""

# What `python scripts/field.py` said of the checkouts named here, each finding looked at by hand.
TAIL = """
## Tried on other people's templates

The rules S211 to S225, S309, S310 and from S501 on were run on 27 November 2026 over 2,656 templates of 66 public
repositories, 371 of them with ECS in them, each directory as a set:
awstut-an-r/awstut-fa (891), awslabs/aws-solutions-constructs (381),
aws-cloudformation/aws-cloudformation-templates (292), awslabs/aws-cloudformation-templates (184),
aws/aws-app-mesh-examples (145), eijikominami/aws-cloudformation-templates (115), aws-samples/container-patterns (99),
stelligent/cloudformation_templates (69), widdix/aws-cf-templates (65), senzing-garage/aws-cloudformation-ecs (40),
aws/copilot-cli (33), aws-samples/aws-microservices-deploy-options (26), F5Networks/f5-aws-cloudformation-v2 (26),
aws-quickstart/quickstart-amazon-eks (21), naghi20/CloudFormation-ECS-Deployment (17),
aws-samples/aws-refarch-wordpress (16), aws-samples/startup-kit-templates (15), aws-samples/aws-refarch-moodle (13),
nathanpeck/ecs-cloudformation (12), cdklabs/cdk-ecs-service-extensions (8), and 46 more with eleven or less.

Twelve findings, and no false error:

| | |
|---|---|
| S211, twice | Two rules of one priority: gweecl/cloudformation-ecs-laravel, a spike of senzing-garage's. |
| S213 | A second rule behind `/*`, awstut-fa 086. |
| S501, five times | As a warning: containers of cdk-ecs-service-extensions reserve more than their task has. |
| S511 | A port mapped twice, as `protocol` is not `Protocol`: bfrancom/piHole-fargate-cloudformation. |
| S521, for information | CDK's output for one region. |
| S708 | A step policy without an alarm: imdhruv99/AWS-CloudFormation-ECS-EC2-Launch-Type. |
| S805 | Execute command without the permissions: container-patterns, sam-fargate. |

An empty default of a host name was taken for a host (four times, S219) and is no more.

No rule here repeats what cfn-lint 1.51 or 1.58 says, but for E3052, E3054 and E3027, which are then told once.
"""


def page() -> str:
    """The page as Markdown."""
    rows = [f"| {rule.id} | {rule.severity} | {rule.sentence} | <{rule.source}> |" for rule in RULES]
    return HEAD + "\n".join(rows) + "\n" + TAIL


if __name__ == "__main__":
    (Path(__file__).parents[1] / "docs" / "rules.md").write_text(page(), encoding="utf-8")
