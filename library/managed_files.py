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
  - A file is checked by O(files[].validate) before it takes the place of the old one. If any is refused, none is
    written.
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
        description: What it is. C(absent) removes a file, a link, or a directory with all that is in it.
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
        description: Its mode, in quotes, as in C("0640").
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
import shutil
import tempfile

from ansible.module_utils.basic import AnsibleModule

DEFAULT_MODES = {"file": "0644", "directory": "0755"}


class Files:
    """The wanted files, compared with what is there."""

    def __init__(self, module):
        self.module = module
        self.changed = []
        self.diffs = []
        self.written = {}  # path: the checked file that is to take its place

    def run(self):
        wanted = self.module.params["files"]
        for entry in wanted:
            if entry["secret"] and entry["content"]:
                self.module.no_log_values.update({entry["content"], *entry["content"].splitlines()})
            self._check(entry)
        try:
            for entry in wanted:
                if entry["state"] == "file":
                    self._prepare(entry)
            for entry in wanted:
                getattr(self, "_keep_" + entry["state"])(entry)
        finally:
            for temporary in self.written.values():
                if os.path.exists(temporary):
                    os.unlink(temporary)
        self.module.exit_json(changed=bool(self.changed), changed_paths=self.changed, diff=self.diffs)

    def _check(self, entry):
        path = entry["path"]
        if not os.path.isabs(path):
            self.module.fail_json(msg="%s: a path must be absolute" % path)
        if entry["state"] == "file" and entry["content"] is None:
            self.module.fail_json(msg="%s: a file needs content" % path)
        if entry["state"] == "link" and not entry["src"]:
            self.module.fail_json(msg="%s: a link needs src" % path)

    def _prepare(self, entry):
        """Write what differs to a temporary file, and have it checked."""
        path, content = entry["path"], entry["content"].encode("utf-8")
        if os.path.isdir(path) and not os.path.islink(path):
            self.module.fail_json(msg="%s: is a directory, and should be a file" % path)
        if self._content(path) == content:
            return
        descriptor, temporary = tempfile.mkstemp(dir=self.module.tmpdir)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        self.written[path] = temporary
        if entry["validate"] and not self.module.check_mode:
            if "%s" not in entry["validate"]:
                self.module.fail_json(msg="%s: validate must contain %%s" % path)
            code, out, err = self.module.run_command(entry["validate"].replace("%s", temporary))
            if code:
                self.module.fail_json(
                    msg="%s: refused by %s; nothing was written" % (path, entry["validate"].split()[0]),
                    exit_code=code,
                    stdout=out,
                    stderr=err,
                )

    def _keep_file(self, entry):
        path = entry["path"]
        temporary = self.written.get(path)
        if temporary is not None:
            self._note(path)
            self._show(entry)
            if not self.module.check_mode:
                self._make_attributes(temporary, entry)
                self.module.atomic_move(temporary, path, unsafe_writes=False)
        self._keep_attributes(entry)

    def _keep_directory(self, entry):
        path = entry["path"]
        if not os.path.isdir(path):
            self._note(path)
            if not self.module.check_mode:
                os.makedirs(path)
        self._keep_attributes(entry)

    def _keep_link(self, entry):
        path = entry["path"]
        if os.path.islink(path) and os.readlink(path) == entry["src"]:
            return
        self._note(path)
        if self.module.check_mode:
            return
        # A link that is replaced by another must never be missing.
        temporary = "%s.%d.new" % (path, os.getpid())
        os.symlink(entry["src"], temporary)
        os.rename(temporary, path)

    def _keep_absent(self, entry):
        path = entry["path"]
        if not os.path.lexists(path):
            return
        self._note(path)
        if self.module.check_mode:
            return
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)

    def _keep_attributes(self, entry):
        """Set owner, group and mode where they differ."""
        path = entry["path"]
        if not os.path.exists(path):  # in check mode
            return
        if self.module.check_mode and not self._known(entry):
            self._note(path)
            return
        if self._make_attributes(path, entry):
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
    def _known(entry):
        try:
            pwd.getpwnam(entry["owner"])
            grp.getgrnam(entry["group"])
        except KeyError:
            return False
        return True

    @staticmethod
    def _content(path):
        try:
            with open(path, "rb") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _note(self, path):
        if path not in self.changed:
            self.changed.append(path)

    def _show(self, entry):
        before = (self._content(entry["path"]) or b"").decode("utf-8", "replace")
        texts = {"before": "", "after": "(secret)\n"} if entry["secret"] else {"before": before, "after": entry["content"]}
        self.diffs.append({"before_header": entry["path"], "after_header": entry["path"], **texts})


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
