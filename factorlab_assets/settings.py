"""Where FactorLab reads and writes, from FACTORLAB_* variables and `.env`.

Belongs here: settings and the paths derived from them. Does not: what a strategy decides.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from factorlab_assets import parsing

SourceName = Literal["synthetic", "stooq-files", "stooq-http", "alphavantage"]
PROJECT_ROOT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """Every setting, each read from `FACTORLAB_<NAME>` or `.env`; an argument wins over both.

    Raises
    ------
    FactorLabError : a setting has a value that is not allowed.
    """

    model_config = SettingsConfigDict(
        env_prefix="FACTORLAB_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    root: Path = Field(PROJECT_ROOT, description="project root; relative paths start here")
    data_dir: Path = Field(Path("data"), description="database, reports and Dagster home")
    database: Path | None = Field(
        None, description="DuckDB file; default DATA_DIR/factorlab.duckdb"
    )
    strategies_dir: Path = Field(Path("data/strategies"), description="strategy files")
    universes_file: Path = Field(Path("data/universes.yaml"), description="named universes")
    price_rules_file: Path = Field(
        Path("data/prices.yaml"), description="what is done about suspect prices"
    )
    evaluation_file: Path = Field(
        Path("data/evaluation.yaml"), description="regimes, seeds and draws of every judgement"
    )
    verdict_file: Path = Field(
        Path("data/verdict.yaml"), description="weights and thresholds of the verdict"
    )
    drop_dir: Path | None = Field(None, description="watched for archives; default DATA_DIR/drop")

    source: SourceName = Field("synthetic", description="where prices come from")
    source_path: Path | None = Field(
        None, description="archive, folder or file for stooq-files and alphavantage"
    )
    distributions_path: Path | None = Field(
        None, description="CSV file or folder: ticker, ex_date, amount, maybe split"
    )
    characteristics: Path | None = Field(
        None, description="folder of your own panels: ticker, date, date_avail, value"
    )
    universe: str = Field("etf13", description="named universe to ingest, or 'all'")
    seed: int = Field(7, description="seed of the synthetic source")
    extra_tickers: int = Field(0, ge=0, description="synthetic tickers beyond the universe")

    stooq_url: str = Field("https://stooq.com/q/d/l/", description="per-symbol download address")
    stooq_apikey: SecretStr | None = Field(None, description="your own Stooq apikey")

    lock_timeout_s: float = Field(60.0, ge=0, description="how long to wait for the database, s")

    @model_validator(mode="wrap")
    @classmethod
    def _told(cls, said: Any, handler: ModelWrapValidatorHandler[Settings]) -> Settings:
        try:
            return handler(said)
        except ValidationError as error:
            what, do = "a setting has a value that is not allowed", "correct FACTORLAB_… or .env"
            raise parsing.explained(error, said, "settings", what, do) from None

    def path(self, value: Path) -> Path:
        """`value` made absolute against the project root; `~` is the home folder."""
        return (self.root / value.expanduser()).resolve()

    @property
    def database_path(self) -> Path:
        return self.path(self.database or self.data_dir / "factorlab.duckdb")

    @property
    def strategies_path(self) -> Path:
        return self.path(self.strategies_dir)

    @property
    def universes_path(self) -> Path:
        return self.path(self.universes_file)

    @property
    def price_rules_path(self) -> Path:
        return self.path(self.price_rules_file)

    @property
    def evaluation_path(self) -> Path:
        return self.path(self.evaluation_file)

    @property
    def verdict_path(self) -> Path:
        return self.path(self.verdict_file)

    @property
    def drop_path(self) -> Path:
        return self.path(self.drop_dir or self.data_dir / "drop")

    @property
    def reports_path(self) -> Path:
        return self.path(self.data_dir / "reports")

    @property
    def dagster_home(self) -> Path:
        return self.path(self.data_dir / "dagster_home")

    @property
    def downloads_path(self) -> Path:
        return self.path(self.data_dir / "downloads")
