"""Worker processes, one per library. Nothing here imports neurona outside ``neurona_peer``.

The interpreter of a peer may not have neurona: ``launch.py`` starts these modules there as the
package ``peers``.
"""
