"""What is deployed beside a gate: alert rules and dashboards name metrics that are there, and do what they say."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.admin.test_admin import TOKEN

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"


@pytest.fixture
def promtool():
    """Prometheus' own tool; missing, it is skipped on a laptop and fails where CI is set."""
    found = shutil.which("promtool")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("promtool is missing; tests/install_system.sh installs it")
        pytest.skip("promtool is missing; see tests/install_system.sh")

    def run(*words):
        folder = DEPLOY / "prometheus"
        return subprocess.run([found, *words], cwd=folder, capture_output=True, text=True, check=False)

    return run


def test_the_rules_are_rules(promtool):
    """promtool check."""
    said = promtool("check", "rules", "gate.rules.yml")
    assert said.returncode == 0, said.stdout + said.stderr
    assert promtool("check", "config", "--syntax-only", "prometheus.yml").returncode == 0


def test_the_rules_fire_for_what_they_are_for(promtool):
    """promtool test rules: each alert, and its silence beside it."""
    said = promtool("test", "rules", "gate.rules.test.yml")
    assert said.returncode == 0, said.stdout + said.stderr
    rules = (DEPLOY / "prometheus/gate.rules.yml").read_text()
    tested = (DEPLOY / "prometheus/gate.rules.test.yml").read_text()
    for alert in re.findall(r"alert: (\w+)", rules):
        assert f"alertname: {alert}" in tested, alert


async def exposed(web, running):
    """The names of all that /metrics tells."""
    async with web.get(running.admin_url + "/metrics", headers=TOKEN) as answer:
        text = await answer.text()
    return {re.split(r"[{ ]", line)[0] for line in text.splitlines() if line and not line.startswith("#")}, text


async def test_rules_and_dashboards_name_metrics_that_are_there(start_gate, web, room_name, new_browser):
    """Every gate_… of the rules and of Grafana's dashboard, with its labels."""
    running = await start_gate(canary={"every": 3600}, mode="hold")
    await new_browser(running).join(room_name)
    names, text = await exposed(web, running)
    panels = json.loads((DEPLOY / "grafana/gate.json").read_text())
    asked = " ".join(target["expr"] for panel in panels["panels"] for target in panel["targets"])
    asked += (DEPLOY / "prometheus/gate.rules.yml").read_text()
    for name in set(re.findall(r"\bgate_\w+", asked)):
        assert name in names, name
    for line in (f'gate_issued_total{{room="{room_name}"}} 1.0', f'gate_waiting{{room="{room_name}"}} 1.0',
                 f'gate_mode{{mode="hold",room="{room_name}"}} 1.0', f'gate_release_rate{{room="{room_name}"}} 0.0',
                 f'gate_joins_total{{result="dealt",room="{room_name}"}} 1.0'):  # fmt: skip
        assert line in text, line


async def test_metrics_are_prometheus_own_format(start_gate, web, promtool):
    """promtool check metrics reads it without an error."""
    running = await start_gate()
    _, text = await exposed(web, running)
    said = subprocess.run(
        [shutil.which("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stdout + said.stderr
