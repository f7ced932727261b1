"""Settings of learning that go together: ours, which learn fast, and the original's; and a racer's own file in ours."""

from __future__ import annotations

from importlib import resources
from typing import Any, Final, Literal, TypeAlias

from lateapex.config import read_toml
from lateapex.formats.hyperparameters import Hyperparameters
from lateapex.models.user_network import is_heavy

AlgorithmName: TypeAlias = Literal["clipped_ppo", "sac"]
PresetName: TypeAlias = Literal["fast", "original"]

_DEEP_STEPS: Final = 3_000
"""What an iteration of the original holds at most with other networks than the shallow one."""
_FOLDER: Final = resources.files("lateapex") / "data" / "presets"


def preset(network: str, algorithm: AlgorithmName = "clipped_ppo", name: PresetName = "fast") -> dict[str, Any]:
    """Settings of learning, as nested tables of TrainConfig.

    Args:
        network: the policy's. "fast" has settings for light networks and for heavy ones; "original" uses it for the
            critic too.
    """
    if name == "original":
        settings = _file(f"original-{algorithm}")
        if network != "shallow":
            settings["trainer"]["rollout_steps"] = _DEEP_STEPS
        return {**settings, "critic": network}
    weight = "heavy" if is_heavy(network) else "light"
    return _file(f"fast-{algorithm}-{weight}")


def of_hyperparameters(file: Hyperparameters, algorithm: AlgorithmName) -> dict[str, Any]:
    """The original's settings in ours."""
    bounds = {
        **({"updates": file.term_cond_max_episodes} if "term_cond_max_episodes" in file.model_fields_set else {}),
        **({"duration": file.job_duration_in_seconds} if file.job_duration_in_seconds is not None else {}),
    }
    trainer = {"rollout_episodes": file.num_episodes_between_training, "rollout_steps": 10_000, **bounds}
    shared = {"batch_size": file.batch_size, "learning_rate": file.lr, "discount": file.discount_factor}
    if algorithm == "sac":
        learning = {**shared, "alpha": file.sac_alpha, "updates_per_step": 1.0, "target_rate": 1.0}
        return {"sac": {**learning, "target_steps": file.num_episodes_between_training}, "trainer": trainer}
    return {
        "ppo": {
            **shared,
            "epochs": file.num_epochs,
            "entropy_weight": file.beta_entropy,
            "value_loss": file.loss_type,
        },
        "trainer": trainer,
        "exploration": {
            "exploration_type": file.exploration_type.replace("additive_noise", "categorical"),
            "e_greedy_value": file.e_greedy_value,
            "epsilon_steps": file.epsilon_steps,
        },
    }


def _file(name: str) -> dict[str, Any]:
    return read_toml((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"), name)
