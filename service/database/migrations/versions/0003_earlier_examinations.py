"""earlier examinations

Of studies that are indexed already patient and date come with `raysight index rebuild`; until then no later study is
compared with them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("studies", schema=None) as batch_op:
        batch_op.add_column(sa.Column("patient_digest", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("study_date", sa.Date(), nullable=True))
        batch_op.add_column(sa.Column("study_time", sa.Time(), nullable=True))
        batch_op.create_index("studies_patient", ["patient_digest"], unique=False)
    with op.batch_alter_table("instances", schema=None) as batch_op:
        batch_op.add_column(sa.Column("retrieved_by", sa.String(length=10), nullable=False, server_default=""))
    with op.batch_alter_table("readings", schema=None) as batch_op:
        batch_op.add_column(sa.Column("prior_study_instance_uid", sa.String(length=64), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("readings", schema=None) as batch_op:
        batch_op.drop_column("prior_study_instance_uid")
    with op.batch_alter_table("instances", schema=None) as batch_op:
        batch_op.drop_column("retrieved_by")
    with op.batch_alter_table("studies", schema=None) as batch_op:
        batch_op.drop_index("studies_patient")
        batch_op.drop_column("study_time")
        batch_op.drop_column("study_date")
        batch_op.drop_column("patient_digest")
