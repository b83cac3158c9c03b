// Whether Python's objects are still those that a recorded step was made of, by identity: a class
// for neurona.recorded_state. Even a small network has dozens of them, which are looked at in each
// step; Python takes a microsecond for twenty.
#include <pybind11/pybind11.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "bindings/register.h"

namespace neurona {
namespace {

namespace py = pybind11;

class Guards {
 public:
  void attribute(const py::object& owner, const std::string& name) {
    // Interned, as the names in a class are, so that the lookup compares addresses.
    const auto interned = py::reinterpret_steal<py::str>(PyUnicode_InternFromString(name.c_str()));
    if (!interned) throw py::error_already_set();
    attributes_.push_back({owner, interned, owner.attr(interned)});
  }
  void entry(const py::dict& owner, const py::object& key) {
    entries_.push_back({owner, key, py::reinterpret_borrow<py::object>(found(owner, key))});
  }
  void elements(const py::list& owner) {
    List list{owner, {}};
    for (const py::handle element : owner)
      list.expected.push_back(py::reinterpret_borrow<py::object>(element));
    lists_.push_back(std::move(list));
  }

  bool hold() const {
    return std::all_of(attributes_.begin(), attributes_.end(), has_attribute) &&
           std::all_of(entries_.begin(), entries_.end(),
                       [](const Entry& entry) {
                         return found(entry.owner, entry.key) == entry.expected.ptr();
                       }) &&
           std::all_of(lists_.begin(), lists_.end(), has_elements);
  }

 private:
  struct Attribute {
    py::object owner;
    py::str name;
    py::object expected;
  };
  struct Entry {
    py::dict owner;
    py::object key;
    py::object expected;  // null if there was none
  };
  struct List {
    py::list owner;
    std::vector<py::object> expected;
  };

  static bool has_attribute(const Attribute& attribute) {
    const auto now = py::reinterpret_steal<py::object>(
        PyObject_GetAttr(attribute.owner.ptr(), attribute.name.ptr()));
    if (now) return now.is(attribute.expected);
    if (!PyErr_ExceptionMatches(PyExc_AttributeError)) throw py::error_already_set();
    PyErr_Clear();
    return false;
  }

  static PyObject* found(const py::dict& owner, const py::object& key) {
    PyObject* value = PyDict_GetItemWithError(owner.ptr(), key.ptr());
    if (!value && PyErr_Occurred()) throw py::error_already_set();
    return value;
  }

  static bool has_elements(const List& list) {
    return list.owner.size() == list.expected.size() &&
           std::equal(list.expected.begin(), list.expected.end(), list.owner.begin(),
                      [](const py::object& expected, py::handle now) { return now.is(expected); });
  }

  std::vector<Attribute> attributes_;
  std::vector<Entry> entries_;
  std::vector<List> lists_;
};

}  // namespace

void register_guards(py::module_& m) {
  py::class_<Guards>(m, "Guards", "What is to stay as it is, each thing by its identity.")
      .def(py::init<>())
      .def("attribute", &Guards::attribute, py::arg("owner"), py::arg("name"),
           "The attribute of this name.")
      .def("entry", &Guards::entry, py::arg("owner"), py::arg("key"),
           "The value of this key, or that there is none.")
      .def("elements", &Guards::elements, py::arg("owner"), "The elements of a list.")
      .def("hold", &Guards::hold, "Whether all of it still is what it was when it was named.");
}

}  // namespace neurona
