"""Bills of Kubernetes on GKE and EKS: nodes that hold the pods of kubernetes/overlays/production."""

from math import ceil

from plant_disease.cost import aws, google
from plant_disease.cost.workload import HOURS_PER_MONTH, Line, Workload

NODE_CPUS = 1.8
NODE_GIB = 6.5
"""What is left for pods of a node with 2 vCPU and 8 GiB, after the system's share."""
MIN_PODS = 3
MEMORY_MB = 512
"""Of a pod of predict."""
OTHER_CPUS = MIN_PODS * (2 + 1) + 2 * 0.05 + 0.1
OTHER_GIB = MIN_PODS * (0.625 + 0.75) + 2 * 0.03125 + 0.25
"""What batch, explain, the page and Redis ask for (docs/kubernetes.md)."""


def gke(work: Workload) -> list[Line]:
    """GKE, one cluster in each region."""
    return [
        Line("nodes", "gke_node", nodes(work) * HOURS_PER_MONTH),
        Line("control planes", "gke_cluster", HOURS_PER_MONTH * work.regions),
        # Redis is a pod of the cluster.
        *(line for line in google.around(work) if line.price != "memorystore"),
    ]


def eks(work: Workload) -> list[Line]:
    """EKS, one cluster in each region."""
    return [
        Line("nodes", "eks_node", nodes(work) * HOURS_PER_MONTH),
        Line("control planes", "eks_cluster", HOURS_PER_MONTH * work.regions),
        *(line for line in aws.around(work, aws.LCU_GB_PER_HOUR) if line.price != "dynamodb_writes"),
    ]


def nodes(work: Workload) -> int:
    """Nodes in all regions together: whatever of CPU and memory needs more of them."""
    pods = max(MIN_PODS, ceil(google.busy_instances(work) / work.regions))
    by_cpu = (pods * work.cpus + OTHER_CPUS) / NODE_CPUS
    by_memory = (pods * work.memory_gib(MEMORY_MB) + OTHER_GIB) / NODE_GIB
    return ceil(max(by_cpu, by_memory)) * work.regions
