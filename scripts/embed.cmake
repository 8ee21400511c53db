# Run by the build: writes files into a source, so that the program has them inside.
#
#   cmake -D FOLDER=FOLDER -D FILES="a;b" -D OUTPUT=FILE -P scripts/embed.cmake
set(entries)
set(constants)
set(number 0)
foreach(file IN LISTS FILES)
  file(READ ${FOLDER}/${file} hex HEX)
  string(LENGTH "${hex}" length)
  math(EXPR length "${length} / 2")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(APPEND constants "constexpr unsigned char kFile${number}[] = {${bytes}0};\n")
  string(APPEND entries "    {\"${file}\", {reinterpret_cast<const char*>(kFile${number}), ${length}}},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUTPUT} "#include \"agent/page/files.h\"\n\nnamespace kubenatd::agent::page {\nnamespace {\n\n${constants}\n}  // namespace\n\n"
     "std::vector<File> files() {\n  return {\n${entries}  };\n}\n\n}  // namespace kubenatd::agent::page\n")
