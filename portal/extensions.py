"""Flask extensions, made once and bound to an app in `create_app`."""

from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_wtf.csrf import CSRFProtect

from portal.cookie import CookieLogin
from portal.models.base import Base
from portal.models.search import is_on_both

db = SQLAlchemy(metadata=Base.metadata)
migrate = Migrate(directory="migrations", render_as_batch=True, include_object=is_on_both)
login_manager = CookieLogin()
csrf = CSRFProtect()
