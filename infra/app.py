"""Create the CDK app: `python -m infra.app` writes the cloud assembly."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from infra.settings import CONTEXT_KEY, DeploySettings
from swath.errors import SettingsError

if TYPE_CHECKING:
    from aws_cdk import App

ROOT = Path(__file__).resolve().parents[1]


def build_app(outdir: str | None = None, context: dict[str, object] | None = None) -> App:
    """Create the app with the context of `cdk.json`, even without the CDK's command line.

    Args:
        outdir: Folder of the cloud assembly; by default the CDK's choice.
        context: Context that overrides `cdk.json`.

    Raises:
        SettingsError: A setting cannot be used, or the region lacks something that a setting needs.
    """
    # The CDK takes seconds to import, so `check_settings` refuses settings before.
    from aws_cdk import App  # noqa: PLC0415

    from infra.constructs.network import MIN_ZONES  # noqa: PLC0415
    from infra.regions import Region, adapt_settings  # noqa: PLC0415
    from infra.stack import SwathStack  # noqa: PLC0415

    app = App(outdir=outdir, context={**_read_default_context(), **(context or {})})
    # The stack has no region of its own. The CDK's command line sets the variable to the region of
    # the deployment: https://docs.aws.amazon.com/cdk/v2/guide/configure-env.html
    region = Region.from_name(os.environ.get("CDK_DEFAULT_REGION", ""))
    settings = adapt_settings(DeploySettings.from_node(app.node), region)
    SwathStack(app, settings.name, settings=settings, zones=region.zones if region else MIN_ZONES)
    return app


def check_settings(env: Mapping[str, str]) -> None:
    """Check the settings of `cdk.json` and of the CDK's command line without importing the CDK.

    Args:
        env: Environment variables, of which CDK_CONTEXT_JSON has the command line's context.

    Raises:
        SettingsError: A setting cannot be used.
    """
    overrides = json.loads(env.get("CDK_CONTEXT_JSON") or "{}")
    DeploySettings.from_context({**_read_default_context(), **overrides}).models_folder(ROOT)


def cdk_flags() -> dict[str, object]:
    """Return the CDK's feature flags with which the constructs are tested, as an app's context."""
    return {key: value for key, value in _read_default_context().items() if key != CONTEXT_KEY}


def _read_default_context() -> dict[str, object]:
    context: dict[str, object] = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))[
        "context"
    ]
    return context


if __name__ == "__main__":
    try:
        check_settings(os.environ)
        build_app().synth()
    except SettingsError as error:
        sys.exit(f"swath: {error}")
