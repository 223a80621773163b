"""Alembic's entry: the connection comes from `service.database.engine.upgrade`."""

from alembic import context

from service.database.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
