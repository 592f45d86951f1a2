# The target mindspore_api: headers (SYSTEM) and library of a runtime with the mindspore::Model API.
#
# MS_LITE_HOME: an unpacked MindSpore Lite (mindspore-lite-VERSION-linux-ARCH).
# MINDSPORE_HOME: the mindspore folder of a wheel that has the C++ API (the last is mindspore==2.0.0).
# The program finds the library, and what it loads in turn, by its path here, so no variable is needed at run time.
add_library(mindspore_api INTERFACE)
if(DEFINED ENV{MS_LITE_HOME})
  set(home_name MS_LITE_HOME)
  set(runtime "$ENV{MS_LITE_HOME}/runtime")
  set(library "${runtime}/lib/libmindspore-lite.so")
  # what it loads to compile a MINDIR for a device needs the converter's libraries
  set(others "${runtime}/third_party/dnnl" "${runtime}/third_party/glog" "$ENV{MS_LITE_HOME}/tools/converter/lib")
  target_compile_definitions(mindspore_api INTERFACE MINDVOXEL_LITE)
else()
  set(home_name MINDSPORE_HOME)
  set(runtime "$ENV{MINDSPORE_HOME}")
  set(library "${runtime}/lib/libmindspore.so")
  set(others "")
endif()
foreach(needed "${runtime}/include/api/model.h" "${library}")
  if(NOT EXISTS "${needed}")
    list(APPEND missing "${needed} (set ${home_name} to the folder that holds it)")
  endif()
endforeach()
target_include_directories(mindspore_api SYSTEM INTERFACE "${runtime}" "${runtime}/include")
get_filename_component(folder "${library}" DIRECTORY)
# RPATH, not RUNPATH: it holds for the libraries that the library needs, too; those of Python are not looked at here
target_link_libraries(mindspore_api INTERFACE "${library}")
target_link_options(mindspore_api INTERFACE -Wl,--disable-new-dtags -Wl,--unresolved-symbols=ignore-in-shared-libs)
foreach(place ${folder} ${others})
  target_link_options(mindspore_api INTERFACE "SHELL:-Wl,-rpath,${place} -Wl,-rpath-link,${place}")
endforeach()
