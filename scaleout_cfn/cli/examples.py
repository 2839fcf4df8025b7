"""Examples in the help of each command: a line, and what it is for. The tests parse each of them."""

from __future__ import annotations

from collections.abc import Mapping

import click

EXAMPLES: Mapping[str, Mapping[str, str]] = {
    "init": {
        "init": "asks, on a terminal; the defaults, in scaleout.toml",
        "init --yes": "the defaults, and no question",
        "init --short --services web,api:internal,mailer:worker --capacity fargate": "three services on Fargate",
        "init --profile hardened prod.toml": "what a review of its security asks for",
    },
    "schema": {"schema > scaleout.schema.json": "beside the config, for editors"},
    "render": {
        "render": "scaleout.toml, or the defaults, into templates_out",
        "render -c shop.toml --env prod -o out": "an environment of a config",
        "render --set services.web.scaling.max_tasks=40": "one number for this run",
        "render --check": "in CI: exits with 3 where the folder is not what the config gives",
    },
    "graph": {"graph": "of templates_out", "graph out > stacks.mmd": "of another folder"},
    "schedules": {
        "schedules": "the next fourteen days, in your time zone",
        "schedules --from 2026-10-20 --timezone Europe/Berlin": "over a change of the clocks",
    },
    "bootstrap": {
        "bootstrap": "the bucket that `deploy` looks for",
        "bootstrap --bucket shop-templates": "another name",
    },
    "deploy": {
        "deploy --local": "a rehearsal on this machine, without an account",
        "deploy --local --containers --build": "and from a Dockerfile to an answer, until Ctrl-C",
        "deploy --local --containers --image shop:dev --keep --pace 10": "to put load on, and watch it scale",
        "deploy --build webapp": "build, push and deploy",
        "deploy --image web=1.4.2 --yes": "an image that is in the repository, by its tag",
        "deploy --env prod --revert-drift": "and set back what was changed by hand",
    },
    "diff": {"diff": "of the config", "diff --image web=1.4.2": "of an image"},
    "plan": {"plan --json": "for whoever approves it, with the ARN for `apply`"},
    "apply": {
        "apply arn:aws:cloudformation:eu-west-1:111122223333:changeSet/scaleout-1/5f8c": "what `plan` printed",
    },
    "import resources": {
        "import resources": "what [imports] of the config names, after a plan and a question",
        "import resources --set imports.WebFoundation/Repository=shop/web": "named on the line",
        "import resources --yes --image web=v3": "the same, in CI",
    },
    "import copilot": {
        "import copilot": "of the application in this folder",
        "import copilot shop -o shop.toml --region eu-west-1 --account-id 111122223333": "with ARNs of its secrets",
    },
    "import compose": {
        "import compose compose.yaml": "of a Compose file, with .env beside it",
        "import compose docker-compose.prod.yml -o prod.toml --force": "over what was written before",
    },
    "import http-scale-out": {
        "import http-scale-out ../http-scale-out": "of a checkout",
    },
    "import ecs": {
        "import ecs --cluster shop": "of the services that run there",
        "import ecs --cluster shop --region eu-west-1 --profile prod -o shop.toml": "with a profile of its own",
    },
    "publish": {"publish --image web=1.4.2": "prints the console's link"},
    "status": {"status": "once", "status --watch": "until Ctrl-C", "status --service web --json": "for a program"},
    "events": {"events --failed": "what failed in the newest operation", "events --follow": "until it has ended"},
    "outputs": {"outputs --json": "of all services", "outputs --service web": "of one"},
    "diagnose": {"diagnose": "after a deployment that failed", "diagnose --service web": "of one service"},
    "image build": {
        "image build": "the folder that is called like the service, or webapp",
        "image build shop --service web -- --build-arg VERSION=1.4.2": "with arguments for the builder",
    },
    "image list": {"image list": "newest first, and which of them runs"},
    "image push": {"image push shop:1.4.2": "an image that this machine has"},
    "logs": {"logs --service web": "of the last hour", "logs --follow": "until Ctrl-C"},
    "exec": {"exec --service web": "a shell", "exec -- /bin/ls /app": "a command"},
    "run": {"run --service web -- python -m shop.migrate": "a migration, by the image that is deployed"},
    "jobs list": {"jobs list": "the next runs, and the last"},
    "jobs run": {"jobs run nightly": "now"},
    "rollback": {
        "rollback": "after a deployment that failed and stayed",
        "rollback --skip WebService/Service": "leave what cannot be rolled back",
    },
    "cancel": {"cancel": "an update that runs"},
    "destroy": {"destroy": "asks first", "destroy --env staging --yes": "in CI"},
    "doctor": {"doctor": "before the first deployment"},
    "policies": {"policies": "a policy for each command, as files"},
    "ci github": {"ci github --service web > .github/workflows/deploy-web.yml": "of one service"},
    "completion": {
        "completion bash > ~/.local/share/bash-completion/completions/scaleout-cfn": "for the next shell",
        "completion zsh > ~/.zfunc/_scaleout-cfn": "where ~/.zfunc is in $fpath",
    },
    "simulate": {
        "simulate --traffic flash-crowd --task-rps 50": "a made-up crowd",
        "simulate --csv requests.csv --task-rps 50 --html report.html": "your own, as a report",
        "simulate --traffic web=diurnal --csv api=api.csv --task-rps 50": "two services that share nodes",
        "simulate cdk.out --service Api --traffic flash-crowd --task-rps 50": "anybody's templates, here CDK's",
        "simulate --stack web --region eu-central-1 --traffic flash-crowd --task-rps 50": "what is deployed",
        "simulate --access-log access.log.gz --measure http://localhost:8080/": "measured, not told",
        "simulate --traffic step --task-rps 50 --objective 0.5 --objective-on response --service-time lognormal:1.5": (
            "an objective on the response"
        ),
        "simulate --traffic flash-crowd --task-rps 50 --event zone-lost@2400 --event slow@2700:300,factor=2": (
            "what is feared, and what it costs"
        ),
        "simulate --traffic flash-crowd --task-rps 50 --event deployment@peak --event node-roll@600": (
            "a deployment in the middle of the crowd, after a new machine image"
        ),
        "simulate --traffic flash-crowd --task-rps 50 --live 120": "drawn as it goes, two minutes in a second",
    },
    "compare": {
        "compare templates_out --traffic flash-crowd --task-rps 50": "also on Fargate and Managed Instances",
        "compare templates_out --traffic flash-crowd --task-rps 50 --event deployment@peak": "deployed in the crowd",
        "compare templates_out other.toml --traffic seed-load-test --task-rps 100": "two sets, profiles, and others",
    },
    "advise": {
        "advise scaleout.toml --traffic diurnal --task-rps 50 --event zone-lost@peak --plot frontier.svg": (
            "a zone may be lost"
        ),
        "advise --csv requests.csv --task-rps 50 --allow 0.01 -o advised.toml": "an overlay of the cheapest settings",
    },
    "figures": {"figures": "what the model is held to"},
    "prices show": {
        "prices show --region eu-west-1": "with their sources",
        "prices show --json > prices.json": "to be edited",
    },
    "prices refresh": {"prices refresh prices.json --region eu-central-1": "for --prices"},
}
"""By the words of a command: command lines without the program's name, and what each is for."""


def add_examples(command: click.Command, words: str) -> click.Command:
    """The command with its examples below its options; of a group, those of its commands too."""
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            add_examples(child, f"{words} {name}")
    lines = EXAMPLES.get(words)
    if lines and not command.epilog:
        width = max(map(len, lines))
        # A line of its own each, however wide: a command that is broken in two is none.
        shown = [
            f"  scaleout-cfn {line:{width}}  {what}" if width < 50 else f"  {what}:\n    scaleout-cfn {line}"
            for line, what in lines.items()
        ]
        command.epilog = "\b\nExamples:\n" + "\n".join(shown)
    return command
