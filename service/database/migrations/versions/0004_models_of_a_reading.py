"""models of a reading"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "reading_models",
        sa.Column("key", sa.String(length=64), primary_key=True),
        sa.Column("model_name", sa.String(length=80), primary_key=True),
        sa.Column("model_version", sa.String(length=40), nullable=False),
    )
    op.create_index("reading_models_version", "reading_models", ["model_name", "model_version"], unique=False)
    op.execute(
        "INSERT INTO reading_models (key, model_name, model_version) "
        "SELECT key, model_name, model_version FROM readings"
    )


def downgrade() -> None:
    op.drop_table("reading_models")
