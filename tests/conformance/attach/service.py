"""A team's own service: FastAPI, and two lines of Stackproof."""

import os

from fastapi import FastAPI
from pydantic import BaseModel

from stackproof import RecordPredictions


class Flight(BaseModel):
    number: int
    distance: float
    carrier: str = "AA"


app = FastAPI()
app.add_middleware(
    RecordPredictions, deployment="delay", project=os.environ["PROJECT"], durable=os.environ["DURABLE"] == "yes"
)


@app.post("/predict")
def predict(flight: Flight):
    return {"probability": 0.5, "model_version": 1}


@app.get("/pid")
def pid():
    return os.getpid()
