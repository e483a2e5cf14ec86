"""Data sets to training windows: readers, preparation (Apache Beam), tf.data pipelines."""
