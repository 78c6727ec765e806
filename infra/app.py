"""The CDK app: `python -m infra.app` writes the cloud assembly."""

from __future__ import annotations

import json
import os
import sys

from aws_cdk import App

from infra.constructs.network import MIN_ZONES
from infra.images import ROOT
from infra.regions import Region, fit
from infra.settings import DeploySettings
from infra.stack import SwathStack
from swath.errors import SettingsError


def build(outdir: str | None = None, context: dict[str, object] | None = None) -> App:
    """The app, with the context of `cdk.json` also where no CDK command line passes it on."""
    defaults = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    app = App(outdir=outdir, context={**defaults, **(context or {})})
    # The CDK's command line sets it to where the stack, which is of no region itself, will be
    # deployed: https://docs.aws.amazon.com/cdk/v2/guide/configure-env.html
    region = Region.named(os.environ.get("CDK_DEFAULT_REGION", ""))
    settings = fit(DeploySettings.from_context(app.node), region)
    SwathStack(app, settings.name, settings=settings, zones=region.zones if region else MIN_ZONES)
    return app


if __name__ == "__main__":
    try:
        build().synth()
    except SettingsError as error:
        sys.exit(f"swath: {error}")
