//! Training Reformers: recipes, packing, optimizers, schedules, checkpoints, events, evaluation.
