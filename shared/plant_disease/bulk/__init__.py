"""More photos than one machine can do: a plan of shards, done by the workers of a Ray cluster.

    OUTPUT/plan.json              what is done and how; written once, when the plan is whole
    OUTPUT/plan-<id>/00000.txt    the names of the photos of a shard, one a line
    OUTPUT/results/00000.parquet  what was diagnosed: the columns of `tables`
    OUTPUT/errors/00000.parquet   what was not, and why; without rows where all is well
    OUTPUT/shards/00000.json      written after both: the shard is done
    OUTPUT/manifest.json          written last: `complete` where all shards are done

Every object is written whole and in one step, and always with the same content: a shard that is done twice, by two
workers or in two runs, changes nothing. So a run may be stopped anywhere, and the next one does what is left.

    plan       which photos, in which shards, by which model
    shards     a shard from the names of its photos to its files; knows no Ray
    cluster    Ray Data, which hands the shards to workers; the only module that imports Ray
"""
