"""The CDK app: `python -m infra.app` writes the cloud assembly."""

from __future__ import annotations

import json
import sys

from aws_cdk import App

from infra.images import ROOT
from infra.settings import DeploySettings
from infra.stack import SwathStack
from swath.errors import SettingsError


def build(outdir: str | None = None, context: dict[str, object] | None = None) -> App:
    """The app, with the context of `cdk.json` also where no CDK command line passes it on."""
    defaults = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    app = App(outdir=outdir, context={**defaults, **(context or {})})
    settings = DeploySettings.from_context(app.node)
    SwathStack(app, settings.name, settings=settings)
    return app


if __name__ == "__main__":
    try:
        build().synth()
    except SettingsError as error:
        sys.exit(f"swath: {error}")
