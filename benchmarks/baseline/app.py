"""The portal that the usual tutorials lead to: what this product is measured against.

Flask-Login, Flask-SQLAlchemy on SQLite, secure_filename, .save(), send_from_directory. It is
written as the tutorials write it, on purpose, and keeps no promises about safety.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from flask import (
    Flask,
    flash,
    redirect,
    render_template_string,
    request,
    send_from_directory,
    url_for,
)
from flask_login import (
    LoginManager,
    UserMixin,
    current_user,
    login_required,
    login_user,
    logout_user,
)
from flask_sqlalchemy import SQLAlchemy
from werkzeug.security import check_password_hash, generate_password_hash
from werkzeug.utils import secure_filename

HOME = Path(os.environ.get("BASELINE_HOME", "."))

app = Flask(__name__)
app.config["SECRET_KEY"] = os.environ.get("SECRET_KEY", "dev")
app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{HOME.resolve()}/site.db"
app.config["UPLOAD_FOLDER"] = HOME.resolve() / "uploads"

db = SQLAlchemy(app)
login_manager = LoginManager(app)
login_manager.login_view = "login"


class User(UserMixin, db.Model):
    id = db.Column(db.Integer, primary_key=True)
    email = db.Column(db.String(120), unique=True, nullable=False)
    password = db.Column(db.String(200), nullable=False)
    documents = db.relationship("Document", backref="owner", lazy=True)


class Document(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(255), nullable=False)
    stored_name = db.Column(db.String(300), nullable=False)
    user_id = db.Column(db.Integer, db.ForeignKey("user.id"), nullable=False)


@login_manager.user_loader
def load_user(user_id):
    return db.session.get(User, int(user_id))


@app.cli.command("init-db")
def init_db():
    app.config["UPLOAD_FOLDER"].mkdir(parents=True, exist_ok=True)
    db.create_all()


@app.route("/register", methods=["GET", "POST"])
def register():
    if request.method == "POST":
        password = generate_password_hash(request.form["password"])
        db.session.add(User(email=request.form["email"], password=password))
        db.session.commit()
        return redirect(url_for("login"))
    return render_template_string(FORM, action="Register")


@app.route("/login", methods=["GET", "POST"])
def login():
    if request.method == "POST":
        user = User.query.filter_by(email=request.form["email"]).first()
        if user and check_password_hash(user.password, request.form["password"]):
            login_user(user)
            return redirect(url_for("index"))
        flash("Wrong email or password")
    return render_template_string(FORM, action="Sign in")


@app.route("/logout")
@login_required
def logout():
    logout_user()
    return redirect(url_for("login"))


@app.route("/")
@login_required
def index():
    return render_template_string(LIST, documents=current_user.documents)


@app.route("/upload", methods=["POST"])
@login_required
def upload():
    file = request.files["file"]
    name = secure_filename(file.filename)
    stored_name = f"{uuid.uuid4().hex}_{name}"
    file.save(app.config["UPLOAD_FOLDER"] / stored_name)
    document = Document(name=name, stored_name=stored_name, owner=current_user)
    db.session.add(document)
    db.session.commit()
    return redirect(url_for("index", uploaded=document.id))


@app.route("/download/<int:document_id>")
@login_required
def download(document_id):
    document = Document.query.filter_by(id=document_id, user_id=current_user.id).first_or_404()
    return send_from_directory(
        app.config["UPLOAD_FOLDER"],
        document.stored_name,
        as_attachment=True,
        download_name=document.name,
    )


FORM = """
<form method="post">
  <input name="email"><input name="password" type="password">
  <button>{{ action }}</button>
</form>
"""

LIST = """
<form method="post" action="/upload" enctype="multipart/form-data">
  <input type="file" name="file"><button>Upload</button>
</form>
<ul>
{% for document in documents %}
  <li><a href="{{ url_for('download', document_id=document.id) }}">{{ document.name }}</a></li>
{% endfor %}
</ul>
"""
