#!/usr/bin/python
"""Ansible module: several files, directories and links in one execution."""

DOCUMENTATION = r"""
---
module: managed_files
short_description: Keeps several files, directories and links as they should be, in one execution
description:
  - What takes time in a play is how often a module is executed, not what it does. This one does for a list what
    M(ansible.builtin.template), M(ansible.builtin.copy) and M(ansible.builtin.file) do for one path each, with one
    execution for all.
  - A file is checked by O(files[].validate) before it takes the place of the old one. If any is refused, or can't be
    written, nothing is changed at all.
  - In check mode an owner or group that does not exist yet is no error, as the play may be about to make it.
options:
  files:
    description: What there should be, in this order.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Where it is.
        type: path
        required: true
      state:
        description: What it is. C(absent) removes a file, a link, or a directory with all that is in it. A file takes a
          link's place, and leaves alone what the link points to.
        type: str
        choices: [file, directory, link, absent]
        default: file
      content:
        description: All of a file's text, usually from the C(template) lookup.
        type: str
      src:
        description: What a link points to.
        type: path
      owner:
        description: Its owner's name.
        type: str
        default: root
      group:
        description: Its group's name.
        type: str
        default: root
      mode:
        description: Its mode, in quotes, as in C("0640"); C("0644") for a file, C("0755") for a directory if left out.
        type: str
      validate:
        description: A command that fails for a bad file; C(%s) stands for the file.
        type: str
      secret:
        description: Whether its text is left out of all that is shown.
        type: bool
        default: false
author:
  - Value Partner
"""

EXAMPLES = r"""
- name: Write the configuration
  managed_files:
    files:
      - path: /etc/example
        state: directory
        mode: "0750"
      - path: /etc/example/example.conf
        content: "{{ lookup('ansible.builtin.template', 'example.conf.j2') }}"
        mode: "0640"
        validate: example --check %s
  register: __example_files
  notify: Restart example
"""

RETURN = r"""
changed_paths:
  description: The paths that were not as they should be.
  type: list
  elements: str
  returned: always
"""

import grp
import os
import pwd
import re
import shutil
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DEFAULT_MODES = {"file": "0644", "directory": "0755"}


class Files:
    """The wanted files, compared with what is there."""

    def __init__(self, module):
        self.module = module
        self.wanted = module.params["files"]
        self.changed = []
        self.diffs = []
        self.replaced = set()  # the files whose text is not as it should be

    def run(self):
        """Look at everything first, so that nothing is changed when something can't be."""
        for entry in self.wanted:
            if entry["secret"] and entry["content"]:
                self.module.no_log_values.add(entry["content"])
        self._refuse_nonsense()
        if not self.module.check_mode:
            self._refuse_what_needs_something_else_first()
        for entry in self.wanted:
            if entry["state"] == "file" and self._content(entry["path"]) != entry["content"].encode():
                self.replaced.add(entry["path"])
                if entry["validate"] and not self.module.check_mode:
                    self._validate(entry)
        for entry in self.wanted:
            getattr(self, "_keep_" + entry["state"])(entry)
        self.module.exit_json(changed=bool(self.changed), changed_paths=self.changed, diff=self.diffs)

    def _refuse(self, entry, why, **more):
        self.module.fail_json(msg=f"{entry['path']}: {why}. Nothing was changed.", changed_paths=[], **more)

    def _refuse_nonsense(self):
        seen = {}
        for entry in self.wanted:
            path, state, mode = Path(entry["path"]), entry["state"], entry["mode"]
            is_link = path.is_symlink()
            nonsense = {
                "a path must be absolute": not path.is_absolute(),
                "it is in the list twice": seen.get(path, "absent") != "absent" or (path in seen and state != "absent"),
                "a file needs content": state == "file" and entry["content"] is None,
                "a link needs src": state == "link" and not entry["src"],
                f"mode must be four digits in quotes, and is {mode}": mode and not re.fullmatch("[0-7]{4}", mode),
                "validate must contain %s": entry["validate"] and "%s" not in entry["validate"],
                f"a directory is where a {state} should be": state in ("file", "link")
                and path.is_dir()
                and not is_link,
                "a file is where a directory should be": state == "directory" and path.exists() and not path.is_dir(),
            }
            for why, is_so in nonsense.items():
                if is_so:
                    self._refuse(entry, why)
            seen[path] = state

    def _refuse_what_needs_something_else_first(self):
        made = set()
        for entry in self.wanted:
            path, state = Path(entry["path"]), entry["state"]
            if state in DEFAULT_MODES and not _known(pwd.getpwnam, entry["owner"]):
                self._refuse(entry, f"there is no user {entry['owner']}")
            if state in DEFAULT_MODES and not _known(grp.getgrnam, entry["group"]):
                self._refuse(entry, f"there is no group {entry['group']}")
            if state == "directory":
                made.update([path, *path.parents])
            elif state != "absent" and path.parent not in made and not path.parent.is_dir():
                self._refuse(entry, "its directory does not exist")

    def _validate(self, entry):
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=self.module.tmpdir, suffix=".new") as file:
            file.write(entry["content"])
            file.flush()
            command = entry["validate"].replace("%s", file.name)
            code, out, err = self.module.run_command(command, expand_user_and_vars=False)
        if code:
            said = [_without(entry["content"], text) if entry["secret"] else text for text in (out, err)]
            program = entry["validate"].split()[0]
            self._refuse(entry, f"{program} refuses it", exit_code=code, stdout=said[0], stderr=said[1])

    def _keep_file(self, entry):
        path = entry["path"]
        if path in self.replaced:
            self._show(entry)
            if not self.module.check_mode:
                self._replace(entry)
            self._note(path)
        self._keep_attributes(entry)

    def _replace(self, entry):
        """Put the new text in the old one's place at once, and never with more rights than it should have."""
        path = Path(entry["path"])
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(entry["content"].encode())
                file.flush()
                os.fsync(file.fileno())
            self._make_attributes(temporary, entry)
            Path(temporary).replace(path)
        finally:
            Path(temporary).unlink(missing_ok=True)

    def _keep_directory(self, entry):
        path = Path(entry["path"])
        if not path.is_dir():
            self._note(entry["path"])
            if not self.module.check_mode:
                path.mkdir(parents=True)
        self._keep_attributes(entry)

    def _keep_link(self, entry):
        path = Path(entry["path"])
        if path.is_symlink() and str(path.readlink()) == entry["src"]:
            return
        self._note(entry["path"])
        if not self.module.check_mode:
            # A link that is replaced by another must never be missing.
            temporary = path.with_name(f".{path.name}.{os.getpid()}")
            temporary.symlink_to(entry["src"])
            temporary.replace(path)

    def _keep_absent(self, entry):
        path = Path(entry["path"])
        if not os.path.lexists(path):
            return
        self._note(entry["path"])
        if self.module.check_mode:
            return
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()

    def _keep_attributes(self, entry):
        """Set owner, group and mode where they differ."""
        path = entry["path"]
        if not Path(path).exists():  # in check mode
            return
        is_known = _known(pwd.getpwnam, entry["owner"]) and _known(grp.getgrnam, entry["group"])
        if not is_known or self._make_attributes(path, entry):  # in check mode the play may be about to make them
            self._note(path)

    def _make_attributes(self, path, entry):
        arguments = {
            "path": path,
            "owner": entry["owner"],
            "group": entry["group"],
            "mode": entry["mode"] or DEFAULT_MODES[entry["state"]],
            "secontext": [None, None, None],
            "attributes": None,
        }
        return self.module.set_fs_attributes_if_different(arguments, False)

    @staticmethod
    def _content(path):
        """A file's text; none for a link, which is to be replaced by the file."""
        try:
            return None if Path(path).is_symlink() else Path(path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _note(self, path):
        if path not in self.changed:
            self.changed.append(path)

    def _show(self, entry):
        path = entry["path"]
        if entry["secret"]:
            before, after = "", "(secret)\n"
        else:
            before, after = (self._content(path) or b"").decode("utf-8", "replace"), entry["content"]
        self.diffs.append({"before_header": path, "after_header": path, "before": before, "after": after})


def _known(get, name):
    if name.isdecimal():
        return True
    try:
        get(name)
    except KeyError:
        return False
    return True


def _without(secret, text):
    """What a program said of a secret file, without what is in it."""
    for word in sorted(re.split(r"[\s=:@\"']+", secret), key=len, reverse=True):
        if len(word) > 3:  # noqa: PLR2004 - shorter ones are in every sentence
            text = text.replace(word, "***")
    return text


def main():
    """Run the module."""
    suboptions = {
        "path": {"type": "path", "required": True},
        "state": {"type": "str", "choices": ["file", "directory", "link", "absent"], "default": "file"},
        "content": {"type": "str"},
        "src": {"type": "path"},
        "owner": {"type": "str", "default": "root"},
        "group": {"type": "str", "default": "root"},
        "mode": {"type": "str"},
        "validate": {"type": "str"},
        "secret": {"type": "bool", "default": False},
    }
    module = AnsibleModule(
        argument_spec={"files": {"type": "list", "elements": "dict", "required": True, "options": suboptions}},
        supports_check_mode=True,
        no_log=True,  # else the host's journal gets all arguments, and so each file's text
    )
    Files(module).run()


if __name__ == "__main__":
    main()
