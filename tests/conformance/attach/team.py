"""What a team does with MLflow's own client, which knows nothing of Stackproof. First argument: the server.
Second: "first", or "later" for what happened since.
"""

import json
import sys

import mlflow
import pandas as pd
from mlflow import MlflowClient

mlflow.set_tracking_uri(sys.argv[1])
client = MlflowClient()
COMMIT = {
    "mlflow.source.git.commit": "0123456789abcdef0123456789abcdef01234567",
    "mlflow.source.git.repoURL": "https://example.org/delays.git",
}
FLIGHTS = pd.DataFrame({"distance": [100.0, 200.0, 300.0], "delayed": [0, 1, 1]})


class Half(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return [0.5] * len(model_input)


def log_model():
    mlflow.pyfunc.log_model(name="model", python_model=Half(), registered_model_name="delay", pip_requirements=[])


def first():
    mlflow.set_experiment("delays")
    with mlflow.start_run(run_name="with data", tags={**COMMIT, "team": "größe"}) as with_data:
        mlflow.log_params({"depth": 3, "eta": 0.1})
        mlflow.log_metric("log_loss", 0.5, step=1)
        mlflow.log_metric("log_loss", 0.25, step=2)
        mlflow.log_metric("odd", float("nan"))
        mlflow.log_metric("far", float("inf"))
        source = "s3://flights/2013.parquet"
        mlflow.log_input(mlflow.data.from_pandas(FLIGHTS, source=source, name="flights"), context="training")
        mlflow.log_dict({"a": 1}, "reports/a.json")
        log_model()
    with mlflow.start_run(run_name="without data") as without_data:
        log_model()
    failing = client.create_run(with_data.info.experiment_id, run_name="failing")
    client.set_terminated(failing.info.run_id, "FAILED")
    running = client.create_run(with_data.info.experiment_id, run_name="running")
    client.set_registered_model_alias("delay", "champion", 1)
    mlflow.set_experiment("other")
    with mlflow.start_run(run_name="elsewhere") as elsewhere:
        mlflow.log_metric("a", 1)
    return [with_data, without_data, running, elsewhere]


def later():
    experiment = client.get_experiment_by_name("delays").experiment_id
    runs = {run.info.run_name: run for run in client.search_runs([experiment])}
    client.log_metric(runs["running"].info.run_id, "log_loss", 0.75)
    client.set_terminated(runs["running"].info.run_id)
    client.set_tag(runs["with data"].info.run_id, "reviewed", "yes")
    mlflow.set_experiment("delays")
    with mlflow.start_run(run_name="newest", tags=COMMIT) as newest:
        mlflow.log_input(mlflow.data.from_pandas(FLIGHTS, name="flights"), context="training")
        log_model()
    client.set_registered_model_alias("delay", "champion", 3)
    return [newest]


made = {"first": first, "later": later}[sys.argv[2]]()
print(json.dumps({run.info.run_name: run.info.run_id for run in made}))
