import pytest
from distributed import Client, LocalCluster


@pytest.fixture(scope="session")
def cluster():
    """Three workers, each a process of one thread."""
    with LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with Client(cluster) as client:
        client.wait_for_workers(3)
        yield client
